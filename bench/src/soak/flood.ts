import { setTimeout as delay } from 'node:timers/promises';
import { countsByNamespace, type Up } from '@netstatd/testkit';
import { groupKey, type Seen } from './seen.ts';
import { sumText, type Verdict } from './verdict.ts';
import type { Watch } from './watch.ts';

/** More than the kernel's flow table holds (65,536), at a rate that leaves the others room. */
export const FLOOD = { flows: 80_000, rate: 10_000 };

/** What the load says of the flood. */
export interface Flooded {
  port: number;
  netns: number;
  /** Datagrams, each to a peer of its own. */
  flows: number;
}

const UNTRACKED = /^netstatd_collector_untracked_datagrams_total (\S+)$/m;
const PATIENCE_MS = 20_000;

type Datagrams = Map<number, number>[];

/** Datagrams so far, by the kernel's own count. */
const datagrams = (): Datagrams =>
  ['InDatagrams', 'OutDatagrams', 'NoPorts'].map((name) => countsByNamespace('Udp', name));

/** How many there were since, of others; a namespace may have gone meanwhile. */
function datagramsSince(before: Datagrams, netns: number): number {
  return datagrams()
    .flatMap((now, i) => [...now].map(([key, n]) => [key, n - (before[i]?.get(key) ?? 0)] as const))
    .filter(([inode]) => inode !== netns)
    .reduce((sum, [, count]) => sum + Math.max(0, count), 0);
}

/** One socket sends to more peers than the kernel keeps flows of: what is not kept is counted, and told by nobody. */
export class Flood {
  readonly #up: Up;
  readonly #watch: Watch;
  #untracked = 0;
  #datagrams: Datagrams = [];

  private constructor(up: Up, watch: Watch) {
    this.#up = up;
    this.#watch = watch;
  }

  static async before(up: Up, watch: Watch): Promise<Flood> {
    const flood = new Flood(up, watch);
    flood.#untracked = await flood.#readUntracked();
    flood.#datagrams = datagrams();
    return flood;
  }

  /** After its socket is closed and its flows are swept. */
  async verdict({ netns, port, flows: made }: Flooded): Promise<Verdict> {
    const key = groupKey(netns, port);
    const deadline = Date.now() + PATIENCE_MS;
    const enough = ({ flowsOpened, flowsClosed }: Seen) => flowsOpened === flowsClosed;
    let seen = await this.#watch.seen(key, false);
    while (!enough(seen) && Date.now() < deadline) {
      await delay(500);
      seen = await this.#watch.seen(key, false);
    }
    const counted = (await this.#readUntracked()) - this.#untracked;
    const others = datagramsSince(this.#datagrams, netns);
    const over = seen.flowsOpened + counted - made;
    return {
      name: 'flow table full: made = seen + counted',
      measured: `${sumText(made, seen.flowsOpened, counted)}, ${seen.flowsClosed} ended (others sent ${others})`,
      rule: 'full; equal, but for what others sent; all ended',
      ok: counted > 0 && over >= 0 && over <= others && enough(seen),
    };
  }

  async #readUntracked(): Promise<number> {
    const answer = await fetch(this.#up.url('/metrics', 'collector'), {
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const value = UNTRACKED.exec(await answer.text())?.[1];
    if (value === undefined) throw new Error('the collector does not tell its untracked datagrams');
    return Number(value);
  }
}
