import { readFileSync } from 'node:fs';
import type { Benchmark } from '../frame/benchmark.ts';
import { Load, runLoad } from '../parts/load.ts';
import { pidOf, programsOf, withNetstatd } from '../parts/netstatd.ts';
import { places } from '../parts/places.ts';

interface Program {
  id: number;
  name: string;
  ns: number;
  runs: number;
}

const cgroupRoot = () =>
  /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1] ?? '/sys/fs/cgroup';

/**
 * The kernel's own account of what its programs take (BPF_ENABLE_STATS), less what it says of an empty one: the
 * account itself costs more than that. It is switched off again when the load ends, however that comes about.
 */
export const kernelRunTime: Benchmark = {
  name: 'kernel.run',
  what: "the kernel's account of netstatd's programs, less an empty program's",
  run: (rounds) =>
    withNetstatd(async (up) => {
      const statistics = new Load('statistics', {
        ...{ object: places.generator, cgroup: cgroupRoot() },
      });
      try {
        await statistics.said('ready');
        const ours = programsOf(pidOf(up, 'collector'));
        const look = async () => {
          const { programs } = await statistics.ask('', 'statistics');
          return new Map((programs as Program[]).map((program) => [program.id, program]));
        };
        /** What ran during a load, and for how long. */
        const during = async (work: () => Promise<unknown>) => {
          const before = await look();
          await work();
          return [...(await look()).values()].map(({ id, name, ns, runs }) => ({
            ...{ id, name },
            ns: ns - (before.get(id)?.ns ?? 0),
            runs: runs - (before.get(id)?.runs ?? 0),
          }));
        };
        const named = (programs: Program[], wanted: string) =>
          programs.find(
            ({ id, name }) => name === wanted && (ours.has(id) || name.startsWith('empty')),
          );
        const mean = ({ ns, runs }: Program) => ns / Math.max(runs, 1);
        const seconds = rounds.seconds(1.5, 0.7);

        const tcp = await rounds.repeat(async () => {
          const programs = await during(() =>
            runLoad('churn', { close: 'fin', seconds, cpus: '0,1' }),
          );
          const state = named(programs, 'tcp_state');
          const empty = named(programs, 'empty_state');
          if (!state || !empty) throw new Error('the TCP state program does not run');
          return { net: mean(state) - mean(empty), empty: mean(empty) };
        });
        const udp = await rounds.repeat(async () => {
          let datagrams = 1;
          const programs = await during(async () => {
            const { sent = 1 } = await runLoad('flood', { seconds, cpus: '0,1' });
            datagrams = sent;
          });
          const empty = named(programs, 'empty_egress');
          if (!empty) throw new Error('the empty program does not run');
          const running = programs.filter(
            ({ id, name, runs }) => ours.has(id) && name.startsWith('udp_') && runs > datagrams / 2,
          );
          const net = running.reduce((sum, { ns, runs }) => sum + ns - runs * mean(empty), 0);
          const parts = running.map((p) => `${p.name} ${(mean(p) - mean(empty)).toFixed(0)}`);
          return { net: net / datagrams, empty: mean(empty), parts: parts.join(', ') };
        });
        return [
          {
            ...{ key: 'kernel.handlerNs', unit: 'ns/run', goal: { atMost: 450 } },
            rounds: tcp.map(({ net }) => net),
            limit: {
              ...{ what: 'an empty program, subtracted', unit: 'ns/run' },
              rounds: tcp.map(({ empty }) => empty),
            },
          },
          {
            ...{ key: 'kernel.udpNs', unit: 'ns/datagram', goal: { atMost: 150 } },
            rounds: udp.map(({ net }) => net),
            limit: {
              ...{ what: 'an empty program, subtracted per run', unit: 'ns/run' },
              rounds: udp.map(({ empty }) => empty),
            },
            note: udp.at(-1)?.parts ?? '',
          },
        ];
      } finally {
        await statistics.stop();
      }
    }),
};
