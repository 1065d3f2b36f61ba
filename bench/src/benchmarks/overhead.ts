import { setTimeout as sleep } from 'node:timers/promises';
import type { Benchmark } from '../frame/benchmark.ts';
import { spread, type Goal } from '../frame/figure.ts';
import { runLoad } from '../parts/load.ts';
import { cpuOf, withNetstatd } from '../parts/netstatd.ts';
import type { Up } from '@netstatd/testkit';

/** Connections a second of a busy server. */
const MODERATE = 5000;
/** One short run differs from the next by a fifth with nothing attached: a workload's rate is the median of several. */
const RUNS = 7;
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

/** The median rate of several short runs of a load. */
const medianOf = async (seconds: number, run: (seconds: number) => Promise<number>) => {
  const rates: number[] = [];
  for (let i = 0; i < RUNS; i++) rates.push(await run(seconds / RUNS));
  return spread(rates).median;
};

/** Datagrams that arrive. */
const flood = async (seconds: number) => {
  const { received = 0, seconds: took = 1 } = await runLoad('flood', { seconds, cpus: '0,1' });
  return received / took;
};

const bulk = async (seconds: number) => {
  const { bytes = 0, seconds: took = 1 } = await runLoad('bulk', { seconds });
  return bytes / took;
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
    run: (seconds) => medianOf(seconds, flood),
  },
  {
    ...{ key: 'overhead.bulkTcp', unit: 'bytes/s', goal: { atLeast: 0.98 } },
    run: (seconds) => medianOf(seconds, bulk),
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
    // Without before and after: a machine that grows slower or faster meanwhile is no part of the ratio.
    const measured = await rounds.repeat(async () => {
      const before = await all();
      const beside = await withNetstatd(all);
      const after = await all();
      const bare = before.map((rate, i) => (rate + (after[i] ?? NaN)) / 2);
      return { bare, beside };
    });
    return works.map(({ key, unit, goal }, i) => ({
      ...{ key, unit: 'ratio', goal },
      rounds: measured.map(({ bare, beside }) => (beside[i] ?? NaN) / (bare[i] ?? NaN)),
      limit: { what: 'without netstatd', unit, rounds: measured.map(({ bare }) => bare[i] ?? NaN) },
    }));
  },
};
