import { setTimeout as sleep } from 'node:timers/promises';

/** How long to wait before trying again: doubles from `baseMs` up to `maxMs`. */
export interface BackoffOptions {
  baseMs: number;
  maxMs: number;
  /** Part of each wait that is random, 0…1, so that many do not come back at the same instant. */
  jitter?: number;
  /** 0 ≤ x < 1; replaceable to make a test exact. */
  random?: () => number;
}

export class Backoff {
  /** Waits since the last `reset`. */
  attempts = 0;
  readonly #options: Required<BackoffOptions>;

  constructor(options: BackoffOptions) {
    this.#options = { jitter: 0.5, random: Math.random, ...options };
  }

  /** The next wait in milliseconds. */
  next(): number {
    const { baseMs, maxMs, jitter, random } = this.#options;
    const full = Math.min(maxMs, baseMs * 2 ** Math.min(this.attempts++, 40));
    return Math.round(full * (1 - jitter * random()));
  }

  /** Waits for `next()`; resolves at once when `signal` is aborted. */
  async wait(signal?: AbortSignal): Promise<void> {
    try {
      await sleep(this.next(), undefined, signal ? { signal } : {});
    } catch (error) {
      if (!signal?.aborted) throw error;
    }
  }

  /** It worked: start again from `baseMs`. */
  reset(): void {
    this.attempts = 0;
  }
}
