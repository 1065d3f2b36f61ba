import { BATCH_MAGIC, BatchLayout, RECORD_LAYOUT_VERSION } from './generated/layout.ts';

/** What the writer has to be told about a batch besides its bytes. */
export interface BatchFacts {
  /** Records in the payload. */
  readonly records: number;
  /** Records the kernel had no room for, in this epoch so far. */
  readonly lostBefore: number;
  /** CLOCK_REALTIME - CLOCK_MONOTONIC when the batch was read, nanoseconds. */
  readonly wallOffsetNs: bigint;
  /** CLOCK_MONOTONIC when the batch was read, nanoseconds. */
  readonly readNs?: bigint;
}

/** Numbers the batches of one epoch and writes their headers in place, before records already there. */
export class BatchWriter {
  /** Bytes to leave free before the records of a batch. */
  static readonly headroom: number = BatchLayout.BYTES;

  /** Number of the last batch. */
  seq = 0;
  /** Records in all batches so far. */
  records = 0;
  private readonly epoch: bigint;

  /** @param epoch CLOCK_REALTIME nanoseconds at the collector's start */
  constructor(epoch: bigint) {
    this.epoch = epoch;
  }

  /**
   * Heads the records in bytes[start, start + payloadBytes) with a header in the bytes before them.
   * @returns the whole batch, a part of `bytes`
   * @throws RangeError when there is no room before `start`
   */
  seal(bytes: Uint8Array, start: number, payloadBytes: number, facts: BatchFacts): Uint8Array {
    const from = start - BatchLayout.BYTES;
    if (from < 0) throw new RangeError(`no room for a batch header: ${start} bytes`);
    const view = new DataView(bytes.buffer, bytes.byteOffset + from, BatchLayout.BYTES);
    this.seq++;
    view.setUint32(BatchLayout.magic, BATCH_MAGIC, true);
    view.setUint16(BatchLayout.version, RECORD_LAYOUT_VERSION, true);
    view.setUint16(BatchLayout.headerSize, BatchLayout.BYTES, true);
    view.setUint32(BatchLayout.payloadBytes, payloadBytes, true);
    view.setUint32(BatchLayout.records, facts.records, true);
    view.setBigUint64(BatchLayout.epoch, this.epoch, true);
    view.setBigUint64(BatchLayout.seq, BigInt(this.seq), true);
    view.setBigUint64(BatchLayout.recordsBefore, BigInt(this.records), true);
    view.setBigUint64(BatchLayout.lostBefore, BigInt(facts.lostBefore), true);
    view.setBigInt64(BatchLayout.wallOffsetNs, facts.wallOffsetNs, true);
    view.setBigUint64(BatchLayout.readNs, facts.readNs ?? 0n, true);
    // What was there before the records may be anything.
    view.setUint32(BatchLayout.flags, 0, true);
    view.setUint32(BatchLayout.reserved, 0, true);
    this.records += facts.records;
    return bytes.subarray(from, start + payloadBytes);
  }

  /** A batch of records made by `encodeSocket` and its kin, for replays and tests. */
  batch(records: readonly Uint8Array[], facts: Partial<BatchFacts> = {}): Uint8Array {
    const payloadBytes = records.reduce((sum, record) => sum + record.byteLength, 0);
    const bytes = new Uint8Array(BatchLayout.BYTES + payloadBytes);
    let at: number = BatchLayout.BYTES;
    for (const record of records) {
      bytes.set(record, at);
      at += record.byteLength;
    }
    const all = { records: records.length, lostBefore: 0, wallOffsetNs: 0n, ...facts };
    return this.seal(bytes, BatchLayout.BYTES, payloadBytes, all);
  }
}
