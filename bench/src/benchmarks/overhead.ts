import type { Benchmark } from '../frame/benchmark.ts';
import type { Goal } from '../frame/figure.ts';
import { runLoad } from '../parts/load.ts';
import { withNetstatd } from '../parts/netstatd.ts';

/** Connections a second of a busy server. */
const MODERATE = 5000;

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
    run: async (seconds) => {
      const { sent = 0, seconds: took = 1 } = await runLoad('flood', { seconds, cpus: '0,1' });
      return sent / took;
    },
  },
  {
    ...{ key: 'overhead.bulkTcp', unit: 'bytes/s', goal: { atLeast: 0.98 } },
    run: async (seconds) => {
      const { bytes = 0, seconds: took = 1 } = await runLoad('bulk', { seconds });
      return bytes / took;
    },
  },
];

export const overhead: Benchmark = {
  name: 'overhead',
  what: 'throughput of a workload beside all services of netstatd, ÷ without them',
  async run(rounds) {
    const seconds = rounds.seconds(1.5, 0.7);
    const all = async () => {
      const rates: number[] = [];
      for (const work of works) rates.push(await work.run(seconds));
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
