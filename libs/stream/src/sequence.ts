import type { LagPlace } from '@netstatd/events';
import type { Batch, Place } from './message.ts';

/** Events of a node that a reader did not get. */
export interface Gap {
  readonly node: string;
  /** How many; absent when that cannot be known. */
  readonly missed?: number;
  /**
   * What the reader is not told of in all: `missed`, and what the `stream.lagged` among them say was lost
   * before. Absent when it cannot be known.
   */
  readonly dropped?: number;
  readonly place: LagPlace;
}

/** Where a reader stands in a node's stream, and whether a batch follows on that. */
export class Sequence {
  #epoch = -1;
  #seq = -1;
  /** Events of the epoch that were read or reported as missed. */
  #events = 0;
  /** Losses before the bus that were read of or reported. */
  #lost = 0;

  get started(): boolean {
    return this.#epoch >= 0;
  }

  /** `old`: read before. A gap does not yet count `batch` itself as missed. */
  check(batch: Batch): 'next' | 'old' | Gap {
    if (batch.epoch !== this.#epoch) return { node: batch.node, place: 'restart' };
    if (batch.seq === this.#seq + 1) return 'next';
    if (batch.seq <= this.#seq) return 'old';
    return this.missedUntil(batch);
  }

  /** The gap between here and a later place of the same epoch, or of another. */
  missedUntil({ node, epoch, before, lost }: Place): Gap {
    if (epoch !== this.#epoch) return { node, place: 'restart' };
    const missed = Math.max(0, before - this.#events);
    return { node, missed, dropped: missed + Math.max(0, lost - this.#lost), place: 'bus' };
  }

  /** The reader stands where a snapshot does. */
  moveTo({ epoch, seq, before, lost }: Place): void {
    this.#epoch = epoch;
    this.#seq = seq;
    this.#events = before;
    this.#lost = lost;
  }

  moveBehind({ node, epoch, seq, before, lost, rows }: Batch): void {
    const events = before + rows.length + rows.skipped;
    this.moveTo({ node, epoch, seq, before: events, lost: lost + rows.lost });
  }
}

/** Events of a batch, those of unknown types too. */
export function eventsOf(batch: Batch): number {
  return batch.rows.length + batch.rows.skipped;
}
