import type { LagPlace, RowFields } from '@netstatd/events';

/**
 * Events that a client did not get since it was last told, as one `stream.lagged` will say: how
 * many (nothing when any part is unknown) and the place where it began.
 */
export class Losses {
  #place: LagPlace | undefined;
  #dropped: number | undefined = 0;

  get any(): boolean {
    return this.#place !== undefined;
  }

  /** Counts `dropped` events (undefined: nobody knows how many) lost at `place`. */
  add(place: LagPlace, dropped: number | undefined): void {
    this.#place ??= place;
    this.#dropped =
      dropped === undefined || this.#dropped === undefined ? undefined : this.#dropped + dropped;
  }

  /** What to tell the client, and forgets it. */
  take(timestamp: number): RowFields<'stream.lagged'> {
    const place = this.#place;
    const dropped = this.#dropped;
    this.#place = undefined;
    this.#dropped = 0;
    return {
      timestamp,
      ...(dropped === undefined ? {} : { dropped }),
      ...(place === undefined ? {} : { place }),
    };
  }
}
