/** Requests that come faster than this are answered by one snapshot. */
const LEAST_INTERVAL_MS = 1000;

/** Takes snapshots on request, at most one a second; requests in between share the next. */
export class Snapshots {
  /** Taken so far. */
  count = 0;
  /** Asked for so far. */
  requests = 0;
  readonly #take: () => void;
  readonly #leastIntervalMs: number;
  #takenAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(take: () => void, leastIntervalMs = LEAST_INTERVAL_MS) {
    this.#take = take;
    this.#leastIntervalMs = leastIntervalMs;
  }

  /** Takes one now. */
  take(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#take();
    this.count++;
    // Measured from its end: one that takes long is not followed by the next at once.
    this.#takenAt = performance.now();
  }

  /** Takes one as soon as the interval allows. */
  request(): void {
    this.requests++;
    if (this.#timer) return;
    const waitMs = this.#takenAt + this.#leastIntervalMs - performance.now();
    if (waitMs <= 0) this.take();
    else this.#timer = setTimeout(() => this.take(), waitMs);
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
