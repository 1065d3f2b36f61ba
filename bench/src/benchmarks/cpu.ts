import { setTimeout as sleep } from 'node:timers/promises';
import type { Benchmark } from '../frame/benchmark.ts';
import { Client } from '../parts/client.ts';
import { LOAD_PORT, runLoad } from '../parts/load.ts';
import { cpuOf, withNetstatd } from '../parts/netstatd.ts';

const RATE = 2000;

export const cpu: Benchmark = {
  name: 'cpu',
  what: `of one processor, all services, at ${RATE} connections a second and one client that sees them`,
  run: (rounds) =>
    withNetstatd(async (up) => {
      const client = await Client.open(up.url('/conntrack'), `Port":${LOAD_PORT},`);
      const seconds = rounds.seconds(8, 3);
      try {
        // The compiler's own work belongs to the start.
        await runLoad('churn', { close: 'fin', seconds: rounds.seconds(10, 4), rate: RATE });
        const runs = await rounds.repeat(
          async () => {
            const before = cpuOf(up);
            const begin = performance.now();
            await runLoad('churn', { close: 'fin', seconds, rate: RATE });
            await sleep(100);
            const elapsed = (performance.now() - begin) / 1000;
            return cpuOf(up).map(({ part, seconds: now }, i) => ({
              part,
              percent: (100 * (now - (before[i]?.seconds ?? 0))) / elapsed,
            }));
          },
          { warmUp: false },
        );
        const last = runs.at(-1) ?? [];
        return [
          {
            ...{ key: 'cpu.at2kPercent', unit: '% of a cpu', goal: { atMost: 15 } },
            rounds: runs.map((parts) => parts.reduce((sum, { percent }) => sum + percent, 0)),
            note: last.map(({ part, percent }) => `${part} ${percent.toFixed(1)}`).join(', '),
          },
        ];
      } finally {
        await client.close();
      }
    }),
};
