/** Nobody gave a turn back in time. */
export class BusyError extends Error {
  override readonly name = 'BusyError';
}

/**
 * At most `limit` holders at a time, the others wait in line: what keeps many clients that all
 * need a snapshot (after a restart of the enricher) from needing it at the same instant.
 */
export class Turns {
  #free: number;
  readonly #line = new Set<() => void>();
  readonly #timeoutMs: number;

  constructor(limit: number, timeoutMs: number) {
    this.#free = limit;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Resolves with the function that gives the turn back; call it once.
   * @throws BusyError when no turn comes in time
   */
  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait();
    return () => {
      const [next] = this.#line;
      if (next === undefined) this.#free += 1;
      else next();
    };
  }

  #wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = () => {
        clearTimeout(timer);
        this.#line.delete(turn);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#line.delete(turn);
        reject(new BusyError('too many ask for the state of nodes at the same time'));
      }, this.#timeoutMs);
      this.#line.add(turn);
    });
  }
}
