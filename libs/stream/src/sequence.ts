import type { LagPlace } from '@netstatd/events';
import type { Batch } from './message.ts';

/** Events of a node that a reader did not get. */
export interface Gap {
  readonly node: string;
  /** How many; absent when that cannot be known. */
  readonly dropped?: number;
  readonly place: LagPlace;
}

/** Where a reader stands in a node's stream, and whether a batch follows on that. */
export class Sequence {
  #epoch = -1;
  #seq = -1;
  /** Events of the epoch that were read or reported as missed. */
  #events = 0;

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
  missedUntil({ node, epoch, before }: { node: string; epoch: number; before: number }): Gap {
    if (epoch !== this.#epoch) return { node, place: 'restart' };
    return { node, dropped: Math.max(0, before - this.#events), place: 'bus' };
  }

  /** The reader stands behind batch `seq`, `events` into the epoch. */
  moveTo(epoch: number, seq: number, events: number): void {
    this.#epoch = epoch;
    this.#seq = seq;
    this.#events = events;
  }

  moveBehind(batch: Batch): void {
    this.moveTo(batch.epoch, batch.seq, batch.before + eventsOf(batch));
  }
}

/** Events of a batch, those of unknown types too. */
export function eventsOf(batch: Batch): number {
  return batch.rows.length + batch.rows.skipped;
}
