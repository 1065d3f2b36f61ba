import type { BusLog, Subscription } from '@netstatd/bus';
import { allNodes, nodeToken, subjects } from '@netstatd/bus';
import type { StreamBus } from './bus.ts';
import type { Batch } from './message.ts';
import { MessageError, readBatch } from './message.ts';
import type { Gap } from './sequence.ts';
import { Sequence } from './sequence.ts';

export interface BatchFeedOptions {
  readonly bus: StreamBus;
  /** A node's name, or `*` for every node. */
  readonly node: string;
  readonly log: BusLog;
  /** Each batch once, in the order of its epoch. */
  readonly onBatch: (batch: Batch) => void;
  /** Before the batch that shows it, which is not missed. */
  readonly onGap: (gap: Gap) => void;
}

/** Since the start. */
export interface FeedCounters {
  batches: number;
  events: number;
  gaps: number;
  /** Events that gaps are known to have cost. */
  missedEvents: number;
  duplicates: number;
  /** Messages that are no batches, or of another node than their subject says. */
  malformed: number;
}

/** Nodes whose place is remembered; beyond them the one not heard for longest is forgotten. */
const MAX_NODES = 8192;

/** Reads the live batches of one node or of all, and tells where some are missing. */
export class BatchFeed {
  readonly counters: FeedCounters = {
    batches: 0,
    events: 0,
    gaps: 0,
    missedEvents: 0,
    duplicates: 0,
    malformed: 0,
  };
  readonly #options: BatchFeedOptions;
  readonly #subscription: Subscription;
  readonly #sequences = new Map<string, Sequence>();

  /** Reads from here on. Throws a RangeError on a bad node name. */
  constructor(options: BatchFeedOptions) {
    this.#options = options;
    const { events } = options.node === '*' ? allNodes : subjects(options.node);
    this.#subscription = options.bus.subscribe(events, (payload, subject) =>
      this.#take(payload, subject),
    );
  }

  close(): void {
    this.#subscription.close();
  }

  #take(payload: Uint8Array, subject: string): void {
    const batch = readBatchOf(payload, subject);
    if (batch instanceof MessageError) {
      if (this.counters.malformed++ === 0)
        this.#options.log.warn({ subject, err: batch }, 'a message on the bus is no batch');
      return;
    }
    const sequence = this.#sequenceOf(batch.node);
    const place = sequence.started ? sequence.check(batch) : 'next';
    if (place === 'old') {
      this.counters.duplicates++;
      return;
    }
    sequence.moveBehind(batch);
    this.counters.batches++;
    this.counters.events += batch.rows.length;
    if (place !== 'next') {
      this.counters.gaps++;
      this.counters.missedEvents += place.missed ?? 0;
      this.#options.onGap(place);
    }
    this.#options.onBatch(batch);
  }

  #sequenceOf(node: string): Sequence {
    const sequence = this.#sequences.get(node) ?? new Sequence();
    this.#sequences.delete(node);
    this.#sequences.set(node, sequence);
    if (this.#sequences.size > MAX_NODES) {
      const [oldest] = this.#sequences.keys();
      if (oldest !== undefined) this.#sequences.delete(oldest);
    }
    return sequence;
  }
}

/** A batch whose node is the one of its subject. */
export function readBatchOf(payload: Uint8Array, subject: string): Batch | MessageError {
  const batch = readBatch(payload);
  if (batch instanceof MessageError || isOfNode(batch.node, subject)) return batch;
  return new MessageError(`a batch of another node on ${subject}`);
}

/** Whether `subject` is one of `node`'s. */
export function isOfNode(node: string, subject: string): boolean {
  try {
    return subject.startsWith(`netstatd.${nodeToken(node)}.`);
  } catch {
    return false;
  }
}
