import { eventFields, isEventType } from './fields.ts';
import { formatMicros, parseMicros } from './text.ts';
import type { ConnectionEvent, EventOf, EventType, NetstatdEvent } from './types.ts';

/**
 * An event as a row: its type, then its values in the order of `eventFields`. This is the form inside the
 * services and on the bus. Absent is null or undefined, and trailing absent values may be missing.
 * `timestamp` is integer microseconds since 1970 here; in an event object it is RFC 3339 text.
 */
export type EventRow = [type: EventType, ...values: unknown[]];

/** The values of an event's row by name: `timestamp` in microseconds, everything else as in the event. */
export type RowFields<T extends EventType> = T extends EventType
  ? { timestamp: number } & Omit<EventOf<T>, 'type' | 'nodeName' | 'timestamp'>
  : never;

/** What `connectionRow` reads; any object with these properties will do, e.g. an entry of a table. */
export type ConnectionFields = {
  readonly [K in keyof Omit<ConnectionEvent, 'type' | 'nodeName' | 'timestamp'>]:
    ConnectionEvent[K] | undefined;
};

/** The row of named values, for everything that is not as frequent as connections. */
export function makeRow<T extends EventType>(type: T, fields: RowFields<T>): EventRow {
  const values = fields as Readonly<Record<string, unknown>>;
  return trimRow([type, ...eventFields[type].map((name) => values[name])]);
}

/**
 * The row of a connection, built positionally from one array literal: the hot path of the enricher.
 * Pass objects of one shape to keep it fast. `state` and `timestamp` (µs) are apart because they change from
 * event to event while the rest of a connection stays. Not trimmed.
 */
export function connectionRow(
  type: ConnectionEvent['type'],
  timestamp: number,
  state: ConnectionEvent['state'],
  c: Omit<ConnectionFields, 'state'>,
): EventRow {
  return [
    type,
    timestamp,
    c.protocol,
    c.family,
    state,
    c.direction,
    c.sockCookie,
    c.localIP,
    c.localPort,
    c.remoteIP,
    c.remotePort,
    c.pid,
    c.comm,
    c.exe,
    c.uid,
    c.netns,
    c.containerUid,
    c.podName,
    c.namespace,
    c.containerName,
    c.actualRemoteIP,
    c.actualRemotePort,
    c.remote,
    c.hostname,
    c.handshakeMicros,
    c.rttMicros,
    c.bytesSent,
    c.bytesReceived,
    c.retransmits,
    c.durationMicros,
    c.closeReason,
  ];
}

/** Cuts absent values off the end of a row, in place; returns the row. */
export function trimRow(row: EventRow): EventRow {
  let length = row.length;
  while (length > 1 && (row[length - 1] === undefined || row[length - 1] === null)) length--;
  row.length = length;
  return row;
}

/** The time of a row in microseconds since 1970; 0 when a row from outside has none. */
export function rowMicros(row: EventRow): number {
  const micros = row[1];
  return typeof micros === 'number' || typeof micros === 'bigint' ? Number(micros) : 0;
}

/** The row of an event object; its node's name is left out. */
export function toRow(event: NetstatdEvent): EventRow {
  const { timestamp, ...fields } = event;
  return makeRow(event.type, {
    ...fields,
    timestamp: parseMicros(timestamp),
  });
}

/** The event object of a row in our own column order; rows of others go through `rowMapper` first. */
export function fromRow(row: EventRow, nodeName: string): NetstatdEvent {
  const type = row[0];
  const event: Record<string, unknown> = {
    type,
    timestamp: formatMicros(rowMicros(row)),
    nodeName,
  };
  const names = eventFields[type];
  const length = Math.min(row.length - 1, names.length);
  for (let index = 1; index < length; index++) {
    const value = row[index + 1];
    if (value !== undefined && value !== null) event[names[index] ?? ''] = value;
  }
  return event as unknown as NetstatdEvent;
}

/** Of each type that is known here, how a batch with these `fields` orders its columns: as we do, or where each is. */
export type ColumnOrders = ReadonlyMap<string, readonly number[] | 'same'>;

/** How a batch whose `fields` may name other columns, or in another order, has ours. */
export function columnOrders(fields: Readonly<Record<string, readonly string[]>>): ColumnOrders {
  const orders = new Map<string, readonly number[] | 'same'>();
  for (const [type, theirs] of Object.entries(fields)) {
    if (!isEventType(type)) continue;
    const ours = eventFields[type] as readonly string[];
    const same = theirs.length <= ours.length && theirs.every((name, i) => name === ours[i]);
    orders.set(type, same ? 'same' : ours.map((name) => theirs.indexOf(name) + 1));
  }
  return orders;
}

/**
 * Makes rows of a batch into rows of ours. The returned function gives undefined for what is no row or of a type
 * that is not known here. Rows that already fit are returned as they are, not copied.
 */
export function rowMapper(orders: ColumnOrders): (row: unknown) => EventRow | undefined {
  return (row) => {
    if (!Array.isArray(row) || typeof row[0] !== 'string') return undefined;
    const order = orders.get(row[0]);
    if (order === undefined) return undefined;
    if (order === 'same') return row as EventRow;
    return [row[0] as EventType, ...order.map((at): unknown => (at === 0 ? undefined : row[at]))];
  };
}
