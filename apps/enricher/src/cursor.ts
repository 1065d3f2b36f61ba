import type { BatchReader } from '@netstatd/records';

/** Where records were lost, as stream.lagged names it, and how many, if that can be known. */
export interface Loss {
  readonly place: 'kernel' | 'bus' | 'restart';
  readonly dropped?: number;
}

/** What the header of a batch says about the batches before it. */
export interface Step {
  /** The batch was read before, or is older than what was read. */
  readonly stale: boolean;
  readonly losses: readonly Loss[];
}

const goesOn: Step = { stale: false, losses: [] };
const isStale: Step = { stale: true, losses: [] };

/** Follows the numbers of the raw stream and finds what is missing from it. */
export class Cursor {
  #epoch = 0;
  #seq = 0;
  /** Records of the epoch up to here, and those the kernel had lost. */
  #records = 0;
  #lost = 0;

  /** Steps to a batch. */
  step(
    batch: Pick<BatchReader, 'epoch' | 'seq' | 'records' | 'recordsBefore' | 'lostBefore'>,
  ): Step {
    const { epoch, seq, recordsBefore, lostBefore } = batch;
    const first = this.#seq === 0;
    const restarted = epoch !== this.#epoch;
    if (!restarted && seq <= this.#seq) return isStale;
    const losses: Loss[] = [];
    if (restarted) {
      if (!first) losses.push({ place: 'restart' });
      // Without a begin there is nothing to count from.
      if (!first && lostBefore > 0) losses.push({ place: 'kernel', dropped: lostBefore });
    } else {
      if (seq !== this.#seq + 1) {
        losses.push({ place: 'bus', dropped: Math.max(0, recordsBefore - this.#records) });
      }
      if (lostBefore > this.#lost) {
        losses.push({ place: 'kernel', dropped: lostBefore - this.#lost });
      }
    }
    this.#epoch = epoch;
    this.#seq = seq;
    this.#records = recordsBefore + batch.records;
    this.#lost = lostBefore;
    return losses.length === 0 ? goesOn : { stale: false, losses };
  }
}
