import { setTimeout as delay } from 'node:timers/promises';
import { keyOf, missingOf, sumOf, type Made } from './made.ts';
import type { Seen } from './seen.ts';
import type { Watch } from './watch.ts';

/** A group that has ended, and what was seen of it. */
export interface Accounted {
  made: Made;
  seen: Seen;
}

/** The end of a flow is told by a sweep, once a second; what is not complete by then is asked for once more. */
const FIRST_LOOK_MS = 6_000;
const LAST_LOOK_MS = 15_000;

/** Asks the watching client for each group when everything of it should have been told. */
export class Account {
  readonly done: Accounted[] = [];
  /** Made and not seen, so far. */
  missing = 0;
  readonly #watch: Watch;
  #waiting: Made[] = [];

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  add(made: Made): void {
    this.#waiting.push(made);
  }

  /** Looks at those whose time has come. */
  async look(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const made of waiting) {
      if (!(await this.#isDone(made))) this.#waiting.push(made);
    }
  }

  /** Looks until none waits. */
  async finish(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.look();
      await delay(200);
    }
  }

  async #isDone(made: Made): Promise<boolean> {
    const age = Date.now() - made.endUs / 1000;
    if (age < FIRST_LOOK_MS) return false;
    const key = keyOf(made);
    const last = age >= LAST_LOOK_MS;
    const seen = await this.#watch.seen(key, last);
    const missing = sumOf(missingOf(made, seen));
    if (missing !== 0 && !last) return false;
    if (!last) await this.#watch.seen(key, true);
    this.done.push({ made, seen });
    this.missing += missing;
    return true;
  }
}
