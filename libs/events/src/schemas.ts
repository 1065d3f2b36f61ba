import { z } from 'zod';
import { closeReasons, directions, lagPlaces, protocols, remoteKinds, tcpStates } from './names.ts';
import type { EventType, NetstatdEvent } from './types.ts';

/**
 * What an event is: the one definition of every event's fields, their units and their bounds. The types, the
 * JSON Schemas, the AsyncAPI document and docs/events.md are made from it. Objects are strict: a field that is
 * not named here is an error. A field that is optional is absent when its value is not known.
 */

const text = (description: string) => z.string().meta({ description });
const count = (description: string, unit?: string) =>
  z
    .int()
    .min(0)
    .meta({ description, ...(unit === undefined ? {} : { 'x-unit': unit }) });
const flag = (description: string) => z.boolean().meta({ description });
const port = (description: string) => z.int().min(0).max(65535).meta({ description });
const ip = (description: string) =>
  z
    .string()
    .regex(/^[0-9a-f:.]{2,39}$/)
    .meta({ description });

const timestamp = z.iso.datetime({ precision: 6 }).meta({
  description: 'When it happened, by the kernel; RFC 3339 in UTC with microseconds.',
});
const nodeName = text('The node on which it happened.');

const protocol = z.enum(protocols).meta({ description: 'Transport protocol.' });
const netns = count('Inode of the network namespace.');
const isHostNetNS = flag('Whether that network namespace is the host’s own.');
const pid = count('Process id (thread group) in the initial pid namespace.');
const exe = text('Path of the executable, as the process sees it.');
const comm = text('Name of the process (comm), at most 15 bytes in the kernel.');
const containerUid = text(
  'Id of the container, as its runtime names it: 64 hexadecimal digits, but clients of containerd may choose any.',
);
const podName = text('Name of the pod.');
const namespace = text('Kubernetes namespace of the pod.');
const containerName = text('Name of the container in its pod.');

const event = <T extends string, S extends z.core.$ZodLooseShape>(
  type: T,
  description: string,
  fields: S,
) =>
  z
    .strictObject({ type: z.literal(type), timestamp, nodeName, ...fields })
    .meta({ title: type, description });

/** The other end of a connection, as far as it is known. */
export const remoteSchema = z
  .strictObject({
    kind: z.enum(remoteKinds).meta({ description: 'What the remote address belongs to.' }),
    node: text('Its node.').optional(),
    namespace: text('Its Kubernetes namespace.').optional(),
    podName: text('Its pod.').optional(),
    containerUid: text('Its container, when the pod has only one.').optional(),
    service: text('Its Kubernetes Service.').optional(),
  })
  .meta({ description: 'What is at the other end.' });

const containerFields = {
  containerUid,
  name: text('Name of the container at its runtime; absent where there is only an id.').optional(),
  runtime: text('containerd, cri-o, docker or podman.').optional(),
  containerdNamespace: text('containerd’s namespace.').optional(),
  podName: podName.optional(),
  namespace: namespace.optional(),
  podUid: text('Uid of the pod.').optional(),
  containerName: text(
    'Name of the container in its pod; absent for the sandbox (pause container) that keeps the pod’s namespaces.',
  ).optional(),
  image: text('Name of the image.').optional(),
  pid: count(
    'Pid of the container’s first process; absent before it runs and after it has ended.',
  ).optional(),
  podIPs: z
    .array(ip('An address of the pod.'))
    .meta({
      description:
        'Addresses of the pod, or of a container without a pod, but for loopback and link-local ones; empty on ' +
        'the host’s network.',
    })
    .optional(),
  usesHostNetwork: flag('Whether it shares the host’s network namespace.').optional(),
  labels: z
    .record(z.string(), z.string())
    .meta({
      description:
        'Labels of the container at its runtime, in bounds: 128 labels, 1024 characters of a value, 64 KB in all.',
    })
    .optional(),
};

const connectionFields = {
  protocol,
  family: z.literal([4, 6]).meta({ description: 'IP version; IPv4-mapped IPv6 is 4.' }),
  state: z.enum(tcpStates).meta({
    description:
      'TCP state reached, by the kernel’s names. UDP: ESTABLISHED on the first datagram of a flow, CLOSE ' +
      'when it has been idle or its socket is gone.',
  }),
  direction: z
    .enum(directions)
    .meta({ description: 'outbound: this end connected or sent first.' })
    .optional(),
  sockCookie: count(
    'The kernel’s socket cookie: the key of a connection on its node. Absent for a connect that failed ' +
      'before its socket had one, e.g. without a route: nothing else is told of it.',
  ).optional(),
  localIP: ip('This end’s address; unknown at SYN_SENT.').optional(),
  localPort: port('This end’s port; unknown at SYN_SENT.').optional(),
  remoteIP: ip('The other end’s address, as the process sees it.'),
  remotePort: port('The other end’s port, as the process sees it.'),
  pid: pid.optional(),
  comm: comm.optional(),
  exe: exe.optional(),
  uid: count('User that made the socket.').optional(),
  netns: netns.optional(),
  containerUid: containerUid.optional(),
  podName: podName.optional(),
  namespace: namespace.optional(),
  containerName: containerName.optional(),
  actualRemoteIP: ip('The other end’s address after NAT.').optional(),
  actualRemotePort: port('The other end’s port after NAT.').optional(),
  remote: remoteSchema.optional(),
  hostname: text('Name by which the remote address was asked for.').optional(),
  handshakeMicros: count('SYN_SENT to ESTABLISHED, outbound only.', 'µs').optional(),
  rttMicros: count('Smoothed round trip time.', 'µs').optional(),
  bytesSent: count('Payload sent, without retransmissions.', 'bytes').optional(),
  bytesReceived: count('Payload received.', 'bytes').optional(),
  retransmits: count('Retransmitted segments.', 'segments').optional(),
  durationMicros: count('ESTABLISHED (UDP: first datagram) until now.', 'µs').optional(),
  closeReason: z
    .enum(closeReasons)
    .meta({ description: 'At CLOSE: which end closed, or why it failed.' })
    .optional(),
};

const portFields = {
  protocol,
  ip: ip('Address it listens on; 0.0.0.0 or :: for all.'),
  port: port('Port it listens on.'),
  netns: netns.optional(),
  isHostNetNS: isHostNetNS.optional(),
  pid: pid.optional(),
  exe: exe.optional(),
  containerUid: containerUid.optional(),
  podName: podName.optional(),
  namespace: namespace.optional(),
  containerName: containerName.optional(),
  addresses: z
    .array(ip('An address of the network namespace.'))
    .meta({ description: 'What 0.0.0.0 or :: stands for: addresses of the same family.' })
    .optional(),
};

const nodeFields = {
  reason: text('Why, in words.').optional(),
  missedEvents: count('Events of the node that were missed meanwhile.', 'events').optional(),
};

/** The schema of every event, by its type. */
export const eventSchemas = {
  'host.info': event('host.info', 'What a node is and by which means it captures.', {
    hostIPs: z.array(ip('An address of the host.')).meta({ description: 'The host’s addresses.' }),
    hostNetNS: count('Inode of the host’s network namespace.').optional(),
    kernel: text('Release of the kernel.').optional(),
    bootId: text('The kernel’s boot id.').optional(),
    version: text('Version of netstatd.'),
    capture: z
      .record(z.string(), z.string())
      .meta({ description: 'The probe that each kind of event comes from.' }),
  }),
  'container.added': event(
    'container.added',
    'A container exists; sent when its runtime tells of it, and before the first event that names it. Sent again ' +
      'when it is another than before (it was started, has stopped, got an address): the newest says it all.',
    containerFields,
  ),
  'container.deleted': event(
    'container.deleted',
    'A container was removed at its runtime (without a runtime: its cgroup was), and its last socket is closed. One ' +
      'that has only stopped is still there.',
    containerFields,
  ),
  'process.metainfo': event('process.metainfo', 'A process that a later event names.', {
    pid,
    ppid: count('Pid of its parent.').optional(),
    exe: exe.optional(),
    comm: comm.optional(),
    netns: netns.optional(),
    isHostNetNS: isHostNetNS.optional(),
    cgroupSlice: text('Path of its cgroup.').optional(),
    containerUid: containerUid.optional(),
    podName: podName.optional(),
    namespace: namespace.optional(),
    containerName: containerName.optional(),
  }),
  'connection.event': event(
    'connection.event',
    'A connection (TCP) or a flow (UDP) reached a state. Sent again with the same state and timestamp when its ' +
      'container could be named only later: the newest says it all.',
    connectionFields,
  ),
  'connection.accepted': event(
    'connection.accepted',
    'The owner of an inbound connection became known after its ESTABLISHED was sent.',
    connectionFields,
  ),
  'port.listening': event(
    'port.listening',
    'A process listens on a port. Sent again when its container could be named only later.',
    portFields,
  ),
  'port.closed': event('port.closed', 'A port is no longer listened on.', portFields),
  'dns.answer': event('dns.answer', 'A DNS answer gave a name to an address.', {
    ip: ip('The address.'),
    name: text('The name that owns the address record.'),
    asked: text('The name that was asked for.').optional(),
    ttl: count('Time to live of the answer.', 's').optional(),
    clientIP: ip('Who asked.').optional(),
  }),
  'snapshot.complete': event(
    'snapshot.complete',
    'The opening state of a node has been sent; what follows is live.',
    {
      connections: count('Open connections sent.'),
      containers: count('Containers sent.'),
      ports: count('Listening ports sent.'),
    },
  ),
  'node.up': event('node.up', 'A node is heard (cluster view only).', nodeFields),
  'node.down': event('node.down', 'A node said goodbye (cluster view only).', nodeFields),
  'node.lost': event('node.lost', 'A node is silent (cluster view only).', nodeFields),
  'stream.lagged': event(
    'stream.lagged',
    'Events were lost before they reached this reader; the state is sent again or corrected.',
    {
      dropped: count('Events lost; absent when it cannot be known.', 'events').optional(),
      place: z
        .enum(lagPlaces)
        .meta({
          description:
            'Where: the kernel’s ring buffer, the bus, a restart of a service, or this reader’s own queue.',
        })
        .optional(),
    },
  ),
};

/** Any event; parsing picks the schema by `type`. */
export const eventSchema = z.discriminatedUnion('type', [
  eventSchemas['host.info'],
  eventSchemas['container.added'],
  eventSchemas['container.deleted'],
  eventSchemas['process.metainfo'],
  eventSchemas['connection.event'],
  eventSchemas['connection.accepted'],
  eventSchemas['port.listening'],
  eventSchemas['port.closed'],
  eventSchemas['dns.answer'],
  eventSchemas['snapshot.complete'],
  eventSchemas['node.up'],
  eventSchemas['node.down'],
  eventSchemas['node.lost'],
  eventSchemas['stream.lagged'],
]);

/** An event from outside, checked; or one line that says what is wrong with it. */
export function parseEvent(value: unknown): { event: NetstatdEvent } | { error: string } {
  const result = eventSchema.safeParse(value);
  if (result.success) return { event: result.data };
  const [issue] = result.error.issues;
  return { error: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'no event'}` };
}

/** A JSON Schema (draft 2020-12, no `$schema`) as a plain object, e.g. for OpenAPI or AsyncAPI. */
export type JsonSchema = Record<string, unknown>;

/** The JSON Schema of a zod schema, for embedding in a document. */
export function jsonSchema(schema: z.ZodType): JsonSchema {
  const document: JsonSchema = { ...z.toJSONSchema(schema, { io: 'input' }) };
  delete document.$schema;
  return document;
}

/** The JSON Schema of every event, by its type. */
export function eventJsonSchemas(): Record<EventType, JsonSchema> {
  return Object.fromEntries(
    Object.entries(eventSchemas).map(([type, schema]) => [type, jsonSchema(schema)]),
  ) as Record<EventType, JsonSchema>;
}
