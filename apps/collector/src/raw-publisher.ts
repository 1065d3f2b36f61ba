import type { Bus } from '@netstatd/bus';
import { BatchWriter, DropSlot } from '@netstatd/records';
import type { LiveSource } from './source.ts';

/** Reading the drop counters costs a system call each: not for every batch of a busy stream. */
const LOST_READ_MS = 10;

/** What became of the records that were read. */
export interface RawCounters {
  /** Batches and records made, published or not. */
  batches: number;
  records: number;
  published: number;
  /** Made while the bus was away or did not take them; readers see the jump in the numbers. */
  droppedBatches: number;
  droppedRecords: number;
}

/** What is read of a source for the head of a batch. */
type BatchSource = Pick<LiveSource, 'headroom' | 'stats' | 'wallOffsetNs'>;

/** Records the kernel had no room for, of all kinds; datagrams of untracked flows are none. */
export function lostRecords(lost: readonly number[]): number {
  return lost.reduce((sum, n, slot) => (slot === DropSlot.FLOWS_UNTRACKED ? sum : sum + n), 0);
}

/**
 * Heads chunks of records in place and publishes the same bytes. A batch that the bus does not take
 * is dropped and counted, never kept: the kernel's ring has to be emptied whatever the bus does.
 */
export class RawPublisher {
  readonly counters: RawCounters = {
    batches: 0,
    records: 0,
    published: 0,
    droppedBatches: 0,
    droppedRecords: 0,
  };
  readonly #bus: Pick<Bus, 'publish'>;
  readonly #source: BatchSource;
  readonly #subject: string;
  readonly #onBatch: (batch: Uint8Array) => void;
  readonly #writer = new BatchWriter(BigInt(Date.now()) * 1_000_000n);
  #lost = 0;
  #lostReadAt = -Infinity;

  /** @param onBatch is given each batch, whether the bus takes it or not */
  constructor(
    bus: Pick<Bus, 'publish'>,
    source: BatchSource,
    subject: string,
    onBatch: (batch: Uint8Array) => void = () => undefined,
  ) {
    this.#bus = bus;
    this.#source = source;
    this.#onBatch = onBatch;
    this.#subject = subject;
  }

  /** Publishes records that lie behind the capture's headroom in `buffer`, which is given away. */
  publish(buffer: Uint8Array, payloadBytes: number, records: number): void {
    const batch = this.#writer.seal(buffer, this.#source.headroom, payloadBytes, {
      records,
      lostBefore: this.#lostBefore(),
      wallOffsetNs: this.#source.wallOffsetNs(),
      readNs: process.hrtime.bigint(),
    });
    this.#onBatch(batch);
    const { counters } = this;
    counters.batches++;
    counters.records += records;
    if (this.#bus.publish(this.#subject, batch)) {
      counters.published++;
    } else {
      counters.droppedBatches++;
      counters.droppedRecords += records;
    }
  }

  /** A batch without records: shows readers of a silent stream what they have missed at its end. */
  publishEmpty(): void {
    this.publish(new Uint8Array(this.#source.headroom), 0, 0);
  }

  #lostBefore(): number {
    const now = performance.now();
    if (now - this.#lostReadAt >= LOST_READ_MS) {
      this.#lost = lostRecords(this.#source.stats().lost);
      this.#lostReadAt = now;
    }
    return this.#lost;
  }
}
