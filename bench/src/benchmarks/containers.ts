import { setTimeout as sleep } from 'node:timers/promises';
import { CONTAINERS, startUp, waitFor, whyNot, type Up } from '@netstatd/testkit';
import { containerId, TestContainerd } from '@netstatd/testkit/containerd';
import type { Benchmark } from '../frame/benchmark.ts';
import { counterOf, pidOf, pssMB } from '../parts/netstatd.ts';

const COUNT = 5000;

interface Start {
  /** From the command until all services are ready and all containers are listed. */
  ms: number;
  /** Proportional memory of the enricher after that. */
  enricherMB: number;
}

async function start(ctd: TestContainerd, containers: number, calmMs: number): Promise<Start> {
  const begin = performance.now();
  const flags = ['--node-name=bench'];
  const up: Up = await startUp({ flags, env: { CONTAINERD_SOCKET: ctd.socket } });
  try {
    const known = () => counterOf(up, 'enricher', 'runtime:containers');
    await waitFor('the containers', async () => (await known()) >= containers);
    const ms = performance.now() - begin;
    await sleep(calmMs);
    return { ms, enricherMB: pssMB(pidOf(up, 'enricher')) };
  } finally {
    await up.stop();
  }
}

export const containers: Benchmark = {
  name: 'containers',
  what: `start and memory with ${COUNT} containers that containerd knows`,
  async run(rounds) {
    const missing = whyNot(...CONTAINERS);
    if (missing !== undefined) throw new Error(missing);
    const calmMs = rounds.seconds(5000, 2000);
    const [none, many] = await Promise.all([TestContainerd.start(), TestContainerd.start()]);
    try {
      await many.api.create('many', Array.from({ length: COUNT }, containerId));
      const pairs = await rounds.repeat(
        async () => ({
          bare: await start(none, 0, calmMs),
          full: await start(many, COUNT, calmMs),
        }),
        { count: Math.min(3, rounds.options.rounds), warmUp: false },
      );
      return [
        {
          ...{ key: 'containers.startMs', unit: 'ms', goal: { atMost: 6000 } },
          rounds: pairs.map(({ full }) => full.ms),
          limit: { what: 'no container', unit: 'ms', rounds: pairs.map(({ bare }) => bare.ms) },
        },
        {
          ...{ key: 'containers.enricherMB', unit: 'MB', goal: { atMost: 120 } },
          rounds: pairs.map(({ full }) => full.enricherMB),
          limit: {
            ...{ what: 'no container', unit: 'MB' },
            rounds: pairs.map(({ bare }) => bare.enricherMB),
          },
        },
      ];
    } finally {
      await Promise.all([none.close(), many.close()]);
    }
  },
};
