/**
 * The last complete snapshot. What is known is held against it only when all that happened before it has been read:
 * after a loss, records that are older than the snapshot are still read for a while, and their sequel may be lost.
 */
export class LastSnapshot {
  #number = 0;
  #beginNs = 0;

  take(number: number, beginNs: number): void {
    this.#number = number;
    this.#beginNs = beginNs;
  }

  /** Whether the snapshot would have shown an entry, were it still there, and did not. */
  misses({ seen, timeNs }: { readonly seen: number; readonly timeNs: number }): boolean {
    return seen < this.#number && timeNs < this.#beginNs;
  }
}
