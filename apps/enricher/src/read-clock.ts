/** Records reach the enricher this long after they were made, at most, when nothing is held up. */
const DELAY_MS = 50;

/**
 * Tells up to which CLOCK_MONOTONIC time everything that happened has been read: the time of the newest record while
 * records come, however late they come, and the clock on the wall while there is nothing to read.
 */
export class ReadClock {
  #newestNs = 0;
  #readAtMs = 0;

  /** A record of the ring buffer was read. */
  read(timeNs: number, nowMs: number): void {
    if (timeNs > this.#newestNs) this.#newestNs = timeNs;
    this.#readAtMs = nowMs;
  }

  /** Sets the clock, when it has not run yet, by a time that is known to be now. */
  start(timeNs: number, nowMs: number): void {
    if (this.#newestNs === 0) this.read(timeNs, nowMs);
  }

  nowNs(nowMs: number): number {
    return this.#newestNs + Math.max(0, nowMs - this.#readAtMs - DELAY_MS) * 1e6;
  }
}
