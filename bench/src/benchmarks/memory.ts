import { setTimeout as sleep } from 'node:timers/promises';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Benchmark } from '../frame/benchmark.ts';
import { Load } from '../parts/load.ts';
import { counterOf, memoryOf, pssMB, withNetstatd } from '../parts/netstatd.ts';

const SOCKETS = 100_000;

/** Three Node processes that do nothing: what of the figure is not ours to change. */
async function bareNodes(): Promise<number> {
  const script = 'setInterval(() => 0, 1000); process.stdout.write(".")';
  const nodes = [0, 1, 2].map(() => spawn(process.execPath, ['-e', script], { stdio: 'pipe' }));
  try {
    await Promise.all(nodes.map((node) => once(node.stdout, 'data')));
    await sleep(500);
    return nodes.reduce((sum, { pid }) => sum + pssMB(pid ?? 0), 0);
  } finally {
    for (const node of nodes) node.kill('SIGKILL');
  }
}

export const memory: Benchmark = {
  name: 'memory',
  what: `proportional memory of all services and the bus, idle and with ${SOCKETS} open connections`,
  async run(rounds) {
    const floor = await bareNodes();
    const limit = { what: 'three Node processes that do nothing', unit: 'MB', rounds: [floor] };
    return withNetstatd(async (up) => {
      await sleep(rounds.seconds(20_000, 5000));
      const idle = memoryOf(up);
      const hold = new Load('hold', { sockets: SOCKETS, processes: 7 });
      try {
        await hold.said('ready');
        const deadline = performance.now() + 30_000;
        while ((await counterOf(up, 'enricher', 'connections')) < SOCKETS * 0.99) {
          if (performance.now() > deadline) throw new Error('not all connections became known');
          await sleep(200);
        }
        await sleep(rounds.seconds(10_000, 3000));
        const loaded = memoryOf(up);
        return [
          {
            ...{ key: 'memory.idleMB', unit: 'MB', goal: { atMost: 140 }, rounds: [idle.sum] },
            ...{ limit, note: idle.text },
          },
          {
            ...{ key: 'memory.loadedMB', unit: 'MB', goal: { atMost: 320 }, rounds: [loaded.sum] },
            note: loaded.text,
          },
        ];
      } finally {
        await hold.stop();
      }
    });
  },
};
