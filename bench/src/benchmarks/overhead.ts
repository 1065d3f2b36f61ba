import { setTimeout as sleep } from 'node:timers/promises';
import type { Benchmark } from '../frame/benchmark.ts';
import { spread, type Goal } from '../frame/figure.ts';
import { runLoad } from '../parts/load.ts';
import { cpuOf, withNetstatd } from '../parts/netstatd.ts';
import type { Up } from '@netstatd/testkit';

/** Connections a second of a busy server. */
const MODERATE = 5000;
const FLOODS = 7;
/** Of one core, all services together, when they have nothing to do. */
const RESTING = 0.1;
const LOOK_MS = 250;
const PATIENCE_MS = 15_000;

interface Work {
  key: string;
  unit: string;
  goal: Goal;
  /** Its throughput. */
  run(seconds: number): Promise<number>;
}

const connections = (rate?: number) => async (seconds: number) => {
  const options = { close: 'fin', seconds, ...(rate === undefined ? {} : { rate }) };
  const { made = 0, seconds: took = 1 } = await runLoad('churn', options);
  return made / took;
};

/**
 * Datagrams that arrive. One flood differs from the next by a fifth, with nothing attached: it is a wakeup of the
 * other processor for most datagrams. Hence the median of several short ones.
 */
const flood = async (seconds: number) => {
  const rates: number[] = [];
  for (let i = 0; i < FLOODS; i++) {
    const options = { seconds: seconds / FLOODS, cpus: '0,1' };
    const { received = 0, seconds: took = 1 } = await runLoad('flood', options);
    rates.push(received / took);
  }
  return spread(rates).median;
};

const works: Work[] = [
  {
    key: 'overhead.tcpModerate',
    unit: 'connections/s',
    goal: { atLeast: 0.98 },
    run: connections(MODERATE),
  },
  { key: 'overhead.tcpHighest', unit: 'connections/s', goal: { atLeast: 0.5 }, run: connections() },
  {
    ...{ key: 'overhead.udpFlood', unit: 'datagrams/s', goal: { atLeast: 0.95 } },
    run: flood,
  },
  {
    ...{ key: 'overhead.bulkTcp', unit: 'bytes/s', goal: { atLeast: 0.98 } },
    run: async (seconds) => {
      const { bytes = 0, seconds: took = 1 } = await runLoad('bulk', { seconds });
      return bytes / took;
    },
  },
];

/**
 * Waits until the services have worked off what the workload before has left them: a flood beside the last events of
 * 30,000 connections a second is no measure of what a flood pays.
 */
async function restOf(up: Up): Promise<void> {
  const used = () => cpuOf(up).reduce((sum, { seconds }) => sum + seconds, 0);
  for (let waited = 0; waited < PATIENCE_MS; waited += LOOK_MS) {
    const before = used();
    await sleep(LOOK_MS);
    if (used() - before < (RESTING * LOOK_MS) / 1000) return;
  }
  throw new Error(`the services did not come to rest within ${PATIENCE_MS / 1000} s`);
}

export const overhead: Benchmark = {
  name: 'overhead',
  what: 'throughput of a workload beside all services of netstatd, ÷ without them',
  async run(rounds) {
    const seconds = rounds.seconds(1.5, 0.7);
    const all = async (up?: Up) => {
      const rates: number[] = [];
      for (const work of works) {
        if (up) await restOf(up);
        rates.push(await work.run(seconds));
      }
      return rates;
    };
    const pairs = await rounds.repeat(async () => {
      const bare = await all();
      const beside = await withNetstatd(all);
      return { bare, beside };
    });
    return works.map(({ key, unit, goal }, i) => ({
      ...{ key, unit: 'ratio', goal },
      rounds: pairs.map(({ bare, beside }) => (beside[i] ?? NaN) / (bare[i] ?? NaN)),
      limit: { what: 'without netstatd', unit, rounds: pairs.map(({ bare }) => bare[i] ?? NaN) },
    }));
  },
};
