import { setTimeout as sleep } from 'node:timers/promises';
import { disturbance, lookAtCpu } from './cpu.ts';
import { spread } from './figure.ts';

/** Others may use so much of the machine during a round; more, and the round is done again. */
const MOST_OTHERS = 0.1;
/** How long the rounds of a benchmark wait in all for others to be done. */
const PATIENCE_MS = 45_000;
/** The limit's rounds may differ by so much of their median before they are no measure of anything. */
const MOST_SPREAD = 0.6;

/** The machine was too busy with something else, or too uneven, for figures that mean anything. */
export class Disturbed extends Error {
  override readonly name = 'Disturbed';
}

export interface RoundsOptions {
  /** Wanted rounds of each benchmark, where it does not say otherwise. */
  rounds: number;
  quick: boolean;
  /** Take disturbed rounds too: for work on the benchmarks, not for figures. */
  disturbed: boolean;
}

/** Repeats measurements, and keeps only what was measured on a machine that did nothing else. */
export class Rounds {
  readonly options: RoundsOptions;
  /** The largest part of the machine that others used during a round that was kept. */
  others = 0;
  #patienceMs: number;

  constructor(options: RoundsOptions) {
    this.options = options;
    this.#patienceMs = options.disturbed ? 0 : PATIENCE_MS;
  }

  get quick(): boolean {
    return this.options.quick;
  }

  /** Shorter in a quick run. */
  seconds(normal: number, quick = normal / 3): number {
    return this.quick ? quick : normal;
  }

  /** Measures `count` times after a warm-up that is thrown away. */
  async repeat<T>(
    measure: () => Promise<T> | T,
    { count = this.options.rounds, warmUp = true } = {},
  ): Promise<T[]> {
    if (warmUp) await measure();
    const kept: T[] = [];
    let worst = 0;
    for (let tries = 0; kept.length < count && tries < 2 * count; tries++) {
      await this.#calm();
      const before = lookAtCpu();
      const value = await measure();
      const others = disturbance(before);
      if (others > MOST_OTHERS && !this.options.disturbed) {
        worst = Math.max(worst, others);
        continue;
      }
      this.others = Math.max(this.others, others);
      kept.push(value);
    }
    if (kept.length < Math.ceil(count / 2))
      throw new Disturbed(
        `others used up to ${Math.round(100 * worst)} % of the machine in ` +
          `${2 * count - kept.length} of ${2 * count} rounds`,
      );
    return kept;
  }

  /** Rounds of netstatd and of its limit in turn, the first of a pair changing; one value each. */
  async inTurn(
    ours: () => Promise<number>,
    limit: () => Promise<number>,
    options: { count?: number; warmUp?: boolean } = {},
  ): Promise<{ ours: number[]; limit: number[]; ratios: number[] }> {
    let limitFirst = false;
    const pairs = await this.repeat(async () => {
      limitFirst = !limitFirst;
      if (limitFirst) {
        const base = await limit();
        return { ours: await ours(), limit: base };
      }
      return { ours: await ours(), limit: await limit() };
    }, options);
    const limits = pairs.map((pair) => pair.limit);
    this.check(limits);
    return {
      ours: pairs.map((pair) => pair.ours),
      limit: limits,
      ratios: pairs.map((pair) => pair.ours / pair.limit),
    };
  }

  /** Refuses rounds of a limit that contradict each other. */
  check(limits: readonly number[]): void {
    const { min, median, max } = spread(limits);
    if (max - min > MOST_SPREAD * median && !this.options.disturbed)
      throw new Disturbed(
        `rounds of the limit differ by ${Math.round((100 * (max - min)) / median)} %`,
      );
  }

  async #calm(): Promise<void> {
    while (this.#patienceMs > 0) {
      const before = lookAtCpu();
      await sleep(250);
      if (disturbance(before) < MOST_OTHERS / 2) return;
      this.#patienceMs -= 250;
    }
  }
}
