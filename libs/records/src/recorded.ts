import { BATCH_MAGIC, BatchFlag, BatchLayout, RECORD_LAYOUT_VERSION } from './generated/layout.ts';

/** Bytes of a batch that tell how long it is, and when it was read. */
export const BATCH_HEAD_BYTES: number = BatchLayout.BYTES;

/** A batch that is longer is none: the bus would not take it. */
const MOST_BYTES = 1 << 20;

/** What the head of a recorded batch tells. */
export interface RecordedHead {
  /** Of the whole batch, its head included. */
  readonly bytes: number;
  readonly records: number;
  /** CLOCK_MONOTONIC nanoseconds when it was read. */
  readonly readNs: number;
  readonly epoch: bigint;
  readonly replayed: boolean;
}

/**
 * Reads the head of a batch; a recording is nothing but batches laid end to end.
 * @returns undefined when the bytes are no head of a batch of this layout
 */
export function readRecordedHead(bytes: Uint8Array): RecordedHead | undefined {
  if (bytes.byteLength < BATCH_HEAD_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const head = view.getUint16(BatchLayout.headerSize, true);
  const whole = head + view.getUint32(BatchLayout.payloadBytes, true);
  if (view.getUint32(BatchLayout.magic, true) !== BATCH_MAGIC) return undefined;
  if (view.getUint16(BatchLayout.version, true) !== RECORD_LAYOUT_VERSION) return undefined;
  if (head < BATCH_HEAD_BYTES || whole > MOST_BYTES) return undefined;
  return {
    bytes: whole,
    records: view.getUint32(BatchLayout.records, true),
    readNs: Number(view.getBigUint64(BatchLayout.readNs, true)),
    epoch: view.getBigUint64(BatchLayout.epoch, true),
    replayed: (view.getUint32(BatchLayout.flags, true) & BatchFlag.REPLAYED) !== 0,
  };
}

/** Says in a recorded batch that it is played, and moves it to another epoch. */
export function markReplayed(batch: Uint8Array, epoch: bigint): void {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  view.setBigUint64(BatchLayout.epoch, epoch, true);
  const flags = view.getUint32(BatchLayout.flags, true);
  view.setUint32(BatchLayout.flags, flags | BatchFlag.REPLAYED, true);
}

/**
 * A batch without records as it would have followed one with this head, had nothing happened for so long: lets time
 * pass where a recording ends.
 */
export function silenceAfter(head: Uint8Array, passedNs: bigint): Uint8Array {
  // Not slice: that of a Buffer would be the very bytes of the head.
  const batch = Uint8Array.from(head.subarray(0, BATCH_HEAD_BYTES));
  const view = new DataView(batch.buffer);
  const add = (at: number, more: bigint) =>
    view.setBigUint64(at, BigInt.asUintN(64, view.getBigUint64(at, true) + more), true);
  add(BatchLayout.seq, 1n);
  add(BatchLayout.recordsBefore, BigInt(view.getUint32(BatchLayout.records, true)));
  add(BatchLayout.readNs, passedNs);
  view.setUint16(BatchLayout.headerSize, BATCH_HEAD_BYTES, true);
  view.setUint32(BatchLayout.payloadBytes, 0, true);
  view.setUint32(BatchLayout.records, 0, true);
  return batch;
}
