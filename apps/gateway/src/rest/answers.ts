import { eventSchemas, remoteKinds, statusSchema } from '@netstatd/events';
import { z } from 'zod';
import { serviceNameSchema } from './service-names.ts';

/** The shapes of REST answers: what OpenAPI publishes, what TypeScript knows, what tests check. */

const text = (description: string) => z.string().meta({ description });
const count = (description: string) => z.int().min(0).meta({ description });
const time = (description: string) => z.iso.datetime().meta({ description });
const nodeName = text('Name of the node.');

/** An address that the node's connections, ports or containers have. */
export const addressSchema = z
  .strictObject({
    nodeName,
    ip: text('The address, in its one text form.'),
    family: z.literal([4, 6]),
    kind: z
      .enum(remoteKinds)
      .meta({ description: 'What it belongs to; absent when it is not known.' })
      .optional(),
    hostname: text('Name by which it was asked for.').optional(),
    containerUids: z.array(z.string()).optional(),
    connections: count('Open connections with this address at either end.'),
    listening: count('Ports that listen on exactly this address.'),
  })
  .meta({ title: 'Address', description: 'An address in use.' });
export type Address = z.infer<typeof addressSchema>;

/** What a node's services say of themselves; the heartbeat without what names the node. */
export const serviceSchema = statusSchema
  .omit({ v: true, node: true, startedAt: true })
  .extend({
    startedAt: time('Its start.'),
    heardAt: time('Its last heartbeat, by this gateway’s clock.'),
    silent: z.boolean().meta({ description: 'Whether its heartbeats have stopped.' }),
  })
  .meta({ title: 'Service', description: 'The last heartbeat of a service.' });
export type Service = z.infer<typeof serviceSchema>;

const nodeState = z.enum(['up', 'down', 'lost', 'unheard']).meta({
  description: 'down: said goodbye; lost: silent; unheard: not heard of since the start.',
});

const nodeFields = {
  nodeName,
  state: nodeState,
  reason: text('Why it is not up.').optional(),
  heardAt: time('Last heartbeat of any of its services.').optional(),
};

export const nodeSchema = z
  .strictObject({
    ...nodeFields,
    ready: z.boolean().meta({ description: 'Whether all its services can do their job.' }),
    versions: z.record(z.string(), z.string()).meta({ description: 'Version by service.' }),
  })
  .meta({ title: 'Node', description: 'A node, heard or missed.' });
export type Node = z.infer<typeof nodeSchema>;

export const nodeStatusSchema = z
  .strictObject({
    ...nodeFields,
    seen: count('Events that its enricher published since it started.').optional(),
    lost: z
      .record(z.string(), z.number())
      .meta({ description: 'What was lost, by place: kernel (records), bus, client (events).' }),
    services: z.array(serviceSchema),
  })
  .meta({ title: 'NodeStatus', description: 'A node with all its services say.' });
export type NodeStatus = z.infer<typeof nodeStatusSchema>;

export const statusAnswerSchema = z
  .strictObject({
    time: time('When this was answered.'),
    view: z.enum(['node', 'cluster']),
    nodes: z.array(nodeStatusSchema),
  })
  .meta({ title: 'Status', description: 'Counters of everything seen and lost.' });
export type StatusAnswer = z.infer<typeof statusAnswerSchema>;

export const pidExeSchema = z
  .strictObject({ nodeName, pid: count('The process.'), exe: text('Path of its executable.') })
  .meta({ title: 'PidExe', description: 'The executable of a process.' });

export const problemSchema = z
  .looseObject({
    type: z.literal('about:blank'),
    title: text('The status in words.'),
    status: z.int().min(400).max(599),
    detail: text('What is wrong.'),
    parameter: text('The parameter that is wrong.').optional(),
  })
  .meta({ title: 'Problem', description: 'An error (RFC 9457).' });

const listSchema = (item: z.ZodType) =>
  z.strictObject({
    items: z.array(item),
    next: text('The cursor of the next page, when there is one.').optional(),
    missing: z
      .array(z.strictObject({ nodeName, reason: z.string() }))
      .meta({ description: 'Nodes whose items are not here, and why.' })
      .optional(),
  });

/** The answers of the lists by their path. */
export const lists = {
  '/api/containers': listSchema(eventSchemas['container.added']),
  '/api/connections': listSchema(eventSchemas['connection.event']),
  '/api/ports': listSchema(eventSchemas['port.listening']),
  '/api/processes': listSchema(eventSchemas['process.metainfo']),
  '/api/ips': listSchema(addressSchema),
  '/api/nodes': listSchema(nodeSchema),
  '/api/dns': listSchema(eventSchemas['dns.answer']),
  '/api/services': listSchema(serviceNameSchema),
} as const;

/** Answers that are no list. */
export const answers = {
  '/api/pid-exe': pidExeSchema,
  '/api/status': statusAnswerSchema,
} as const;
