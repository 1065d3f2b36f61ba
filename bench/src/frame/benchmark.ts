import type { Figure } from './figure.ts';
import type { Rounds } from './rounds.ts';

export interface Benchmark {
  /** As in `npm run bench -- NAME`; the part of its figures' keys before the dot, or more. */
  name: string;
  /** In one line. */
  what: string;
  /** Measures. Whatever it has started is gone when it returns, or throws. */
  run(rounds: Rounds): Promise<Figure[]>;
}
