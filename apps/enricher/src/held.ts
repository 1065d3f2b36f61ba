import type { Connection } from './connection.ts';

/**
 * Inbound connections that wait for the accept that names their owner, oldest first. A connection whose wait has
 * ended otherwise stays in the queue, with `held` off, until its turn comes.
 */
export class Held {
  readonly max: number;
  readonly #waitNs: number;
  #queue: Connection[] = [];
  #head = 0;
  /** Connections let go before their time because too many waited. */
  overflow = 0;

  constructor(waitMs: number, max: number) {
    this.#waitNs = waitMs * 1e6;
    this.max = max;
  }

  get size(): number {
    return this.#queue.length - this.#head;
  }

  /** @returns the connection that has to go to make room, if any */
  add(connection: Connection): Connection | undefined {
    connection.held = true;
    this.#queue.push(connection);
    if (this.size <= this.max) return undefined;
    const first = this.#shift();
    if (first?.held) this.overflow++;
    return first;
  }

  /**
   * The next connection whose wait is over; false when there is none yet.
   * @param nowNs CLOCK_MONOTONIC time up to which everything that happened has been read
   */
  expired(nowNs: number): Connection | undefined {
    for (;;) {
      const first = this.#queue[this.#head];
      if (first === undefined) return undefined;
      if (first.held && first.timeNs + this.#waitNs > nowNs) return undefined;
      this.#shift();
      if (first.held) return first;
    }
  }

  #shift(): Connection | undefined {
    const first = this.#queue[this.#head++];
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return first;
  }
}
