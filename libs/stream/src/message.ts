import { PackedArray, unpackAround } from '@netstatd/bus';
import type { EventRow } from '@netstatd/events';
import { columnOrders } from '@netstatd/events';
import { PackedRows } from './packed-rows.ts';

/** Version of the messages, their `v`. */
export const PROTOCOL_VERSION = 1;

/** Bytes of one message at most; far below what a server takes by default (1 MB). */
export const MAX_MESSAGE_BYTES = 256 << 10;

/** A message that is not what its subject carries. */
export class MessageError extends Error {
  override readonly name = 'MessageError';
}

/** Where in a node's stream a message stands. */
export interface Place {
  readonly node: string;
  /** Start of the publisher, milliseconds since 1970. */
  readonly epoch: number;
  readonly seq: number;
  /** Events of the epoch before this batch; up to `seq` for a page of a snapshot. */
  readonly before: number;
  /** What the `stream.lagged` among those events say was lost, in sum. */
  readonly lost: number;
}

/** A batch of live events, number `seq` of its epoch. */
export interface Batch extends Place {
  /** Decoded one by one, as they are needed. */
  readonly rows: PackedRows;
}

/** A page of a snapshot that includes every batch up to `seq`. */
export interface Page extends Place {
  /** In our column order. */
  readonly rows: EventRow[];
  /** Rows that are none of ours: other types, or no rows at all. */
  readonly skipped: number;
  /** From 0. */
  readonly page: number;
  readonly last: boolean;
  /** Where the next request goes on, when `limit` ended this snapshot; on its last page. */
  readonly next?: number | string;
}

type Message = Readonly<Record<string, unknown>>;

/** Decodes a batch; gives the error, and does not throw, on anything else. */
export function readBatch(payload: Uint8Array): Batch | MessageError {
  return read(payload, (message) => ({ ...readPlace(message), rows: readRows(message) }));
}

/** Decodes a page of a snapshot; gives the error, also the one that the other side answered. */
export function readPage(payload: Uint8Array): Page | MessageError {
  return read(payload, (message) => {
    if (typeof message.error === 'string')
      throw new MessageError(`the snapshot was refused: ${message.error.slice(0, 200)}`);
    const { last, next } = message;
    if (typeof last !== 'boolean') throw new MessageError('last is no boolean');
    const cursor = typeof next === 'number' || typeof next === 'string' ? { next } : {};
    const page = readCount(message, 'page');
    const packed = readRows(message);
    const rows = [...packed];
    return { ...readPlace(message), rows, skipped: packed.skipped, page, last, ...cursor };
  });
}

function read<T>(payload: Uint8Array, decode: (message: Message) => T): T | MessageError {
  try {
    const message = unpackAround(payload, 'events');
    if (!isRecord(message)) throw new MessageError('not a map');
    if (message.v !== PROTOCOL_VERSION)
      throw new MessageError(`version ${JSON.stringify(message.v)} is not ${PROTOCOL_VERSION}`);
    return decode(message);
  } catch (error) {
    if (error instanceof MessageError) return error;
    return new MessageError(error instanceof Error ? error.message : String(error));
  }
}

function isRecord(value: unknown): value is Message {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  );
}

function readCount(message: Message, name: string): number {
  const value = message[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new MessageError(`${name} is no count`);
  return value;
}

function readPlace(message: Message): Place {
  const { node } = message;
  if (typeof node !== 'string' || node === '' || node.length > 253)
    throw new MessageError('node is no name');
  const epoch = readCount(message, 'epoch');
  const lost = message.lost === undefined ? 0 : readCount(message, 'lost');
  return {
    node,
    epoch,
    seq: readCount(message, 'seq'),
    before: readCount(message, 'before'),
    lost,
  };
}

function readRows(message: Message): PackedRows {
  const { fields, events } = message;
  if (!isRecord(fields) || !Object.values(fields).every(isTextArray))
    throw new MessageError('fields is no table of names');
  if (!(events instanceof PackedArray)) throw new MessageError('events is no array');
  return new PackedRows(
    events,
    columnOrders(fields as Readonly<Record<string, readonly string[]>>),
  );
}

function isTextArray(value: unknown): value is string[] {
  return (
    Array.isArray(value) && value.length <= 256 && value.every((name) => typeof name === 'string')
  );
}
