/** Time constant in seconds: a burst has faded to a third after so long. */
const MEMORY_S = 3;
const MEMORY_MS = MEMORY_S * 1000;

/** Events a second, averaged with exponentially fading weight: two numbers, however many events. */
export class Rate {
  #weight = 0;
  #at = 0;

  /** One event at `now`, in milliseconds. */
  count(now: number): void {
    this.#weight = this.#faded(now) + 1;
    this.#at = now;
  }

  /** Events a second at `now`. */
  at(now: number): number {
    return this.#faded(now) / MEMORY_S;
  }

  #faded(now: number): number {
    return this.#weight * Math.exp(Math.min(0, this.#at - now) / MEMORY_MS);
  }
}
