import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Benchmark } from '../frame/benchmark.ts';
import { Client } from '../parts/client.ts';
import { LOAD_PORT, runLoad } from '../parts/load.ts';
import { withNetstatd } from '../parts/netstatd.ts';

const RATE = 5000;

/** Cookie → milliseconds since 1970 at which connect() had returned: pairs of u64, as churn.c writes them. */
function readStamps(path: string): Map<number, number> {
  const bytes = readFileSync(path);
  const stamps = new Map<number, number>();
  for (let at = 0; at + 16 <= bytes.length; at += 16)
    stamps.set(Number(bytes.readBigUInt64LE(at)), Number(bytes.readBigUInt64LE(at + 8)) / 1e6);
  return stamps;
}

export const latency: Benchmark = {
  name: 'latency',
  what: `connect() returns → its event is at a WebSocket client, at ${RATE} connections a second`,
  run: (rounds) =>
    withNetstatd(async (up) => {
      const dir = mkdtempSync(join(tmpdir(), 'netstatd-bench-'));
      const file = join(dir, 'stamps');
      // One frame each 50 ms would be the batches' own delay: this client takes each event in a frame.
      const measure = async () => {
        const address = up.url(`/conntrack?port=${LOAD_PORT}`);
        const client = await Client.open(address, '"type":"connection.event"', 'stamps single');
        try {
          const { made = 0 } = await runLoad('churn', {
            ...{ close: 'fin', seconds: rounds.seconds(5, 2), rate: RATE, stamps: file },
          });
          await client.until(made * 5, 1000);
          const connected = readStamps(file);
          const delays = ((await client.report()).stamps ?? [])
            .flatMap(([cookie, arrival]) => {
              const at = connected.get(cookie);
              return at === undefined ? [] : [arrival - at];
            })
            .sort((a, b) => a - b);
          if (delays.length < made)
            throw new Error(`${made - delays.length} of ${made} never came`);
          return delays;
        } finally {
          await client.close();
        }
      };
      try {
        const runs = await rounds.repeat(measure);
        const part = (quantile: number) =>
          runs.map((delays) => delays[Math.floor(quantile * (delays.length - 1))] ?? NaN);
        return [
          { key: 'latency.p50Ms', unit: 'ms', goal: { atMost: 15 }, rounds: part(0.5) },
          { key: 'latency.p99Ms', unit: 'ms', goal: { atMost: 50 }, rounds: part(0.99) },
        ];
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    }),
};
