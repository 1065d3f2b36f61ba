import type { EventOf, EventType } from './types.ts';

/**
 * The columns of every event's row, in order: `timestamp` first, what is mostly absent last, so that rows can
 * be cut short. `type` and `nodeName` are no columns: the type is the row's first value, the node the batch's.
 */

/** Names of an event's fields that are columns of its row. */
export type FieldOf<T extends EventType> = Exclude<
  T extends EventType ? keyof EventOf<T> : never,
  'type' | 'nodeName'
> &
  string;

const container = [
  'timestamp',
  'containerUid',
  'runtime',
  'podUid',
  'podName',
  'namespace',
  'containerName',
  'name',
  'containerdNamespace',
  'image',
  'pid',
  'podIPs',
  'usesHostNetwork',
  'labels',
] as const;

const connection = [
  'timestamp',
  'protocol',
  'family',
  'state',
  'direction',
  'sockCookie',
  'localIP',
  'localPort',
  'remoteIP',
  'remotePort',
  'pid',
  'comm',
  'exe',
  'uid',
  'netns',
  'containerUid',
  'podName',
  'namespace',
  'containerName',
  'actualRemoteIP',
  'actualRemotePort',
  'remote',
  'hostname',
  'handshakeMicros',
  'rttMicros',
  'bytesSent',
  'bytesReceived',
  'retransmits',
  'durationMicros',
  'closeReason',
] as const;

const listening = [
  'timestamp',
  'protocol',
  'ip',
  'port',
  'netns',
  'isHostNetNS',
  'pid',
  'exe',
  'containerUid',
  'podName',
  'namespace',
  'containerName',
  'addresses',
] as const;

const node = ['timestamp', 'reason', 'missedEvents'] as const;

const table = {
  'host.info': ['timestamp', 'hostIPs', 'hostNetNS', 'kernel', 'bootId', 'version', 'capture'],
  'container.added': container,
  'container.deleted': container,
  'process.metainfo': [
    'timestamp',
    'pid',
    'ppid',
    'exe',
    'comm',
    'netns',
    'isHostNetNS',
    'cgroupSlice',
    'containerUid',
    'podName',
    'namespace',
    'containerName',
  ],
  'connection.event': connection,
  'connection.accepted': connection,
  'port.listening': listening,
  'port.closed': listening,
  'dns.answer': ['timestamp', 'ip', 'name', 'asked', 'ttl', 'clientIP'],
  'snapshot.complete': ['timestamp', 'connections', 'containers', 'ports'],
  'node.up': node,
  'node.down': node,
  'node.lost': node,
  'stream.lagged': ['timestamp', 'dropped', 'place'],
} as const satisfies { [T in EventType]: readonly FieldOf<T>[] };

/** The columns of each event's row, in order. */
export const eventFields: { readonly [T in EventType]: readonly FieldOf<T>[] } = table;

/** Every type of event, in the order of the opening state. */
export const eventTypes = Object.keys(table) as readonly EventType[];

const typeSet: ReadonlySet<unknown> = new Set(eventTypes);

/** Whether a value names a type of event that this version knows. */
export function isEventType(value: unknown): value is EventType {
  return typeSet.has(value);
}

/**
 * Index of each field in a row (the type is at 0, `timestamp` at 1):
 * `row[columns['connection.event'].remotePort]`.
 */
export const columns = Object.fromEntries(
  eventTypes.map((type) => [
    type,
    Object.fromEntries(table[type].map((name, index) => [name, index + 1])),
  ]),
) as { readonly [T in EventType]: Readonly<Record<FieldOf<T>, number>> };
