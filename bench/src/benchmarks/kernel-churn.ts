import { NatsServer } from '@netstatd/bus';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Benchmark } from '../frame/benchmark.ts';
import type { Figure } from '../frame/figure.ts';
import { churnRate } from '../parts/load.ts';
import { places } from '../parts/places.ts';

/** Runs `work` with the collector attached, publishing to a bus without a reader. */
async function withCollector<T>(nats: NatsServer, work: () => Promise<T>): Promise<T> {
  const collector = fork(
    places.collector,
    ['--node-name=bench', '--health-port=0', '--log-level=error'],
    {
      env: { ...process.env, NATS_URL: nats.url },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    },
  );
  try {
    await new Promise<void>((resolve) =>
      collector.on('message', (message: { ready?: boolean }) => message.ready && resolve()),
    );
    return await work();
  } finally {
    collector.kill('SIGTERM');
    await once(collector, 'exit');
  }
}

export const kernelChurn: Benchmark = {
  name: 'kernel.churn',
  what: 'loopback connections a second with every probe attached, ÷ nothing attached',
  async run(rounds) {
    const stateDir = mkdtempSync(join(tmpdir(), 'netstatd-bench-'));
    const nats = await NatsServer.start({ stateDir });
    const seconds = rounds.seconds(2, 1);
    const figures: Figure[] = [];
    try {
      for (const [close, key] of [
        ['rst', 'kernel.churnRatioRst'],
        ['fin', 'kernel.churnRatioFin'],
      ] as const) {
        const { limit, ratios } = await rounds.inTurn(
          () => withCollector(nats, () => churnRate(close, seconds)),
          () => churnRate(close, seconds),
        );
        figures.push({
          ...{ key, unit: 'ratio', goal: { atLeast: 0.9 }, rounds: ratios },
          limit: { what: 'nothing attached', unit: 'connections/s', rounds: limit },
        });
      }
      return figures;
    } finally {
      await nats.stop();
      rmSync(stateDir, { recursive: true, force: true });
    }
  },
};
