import { Capture } from '@netstatd/capture';
import { BatchReader, BatchWriter, RecordFlag, RecordType } from '@netstatd/records';
import type { Benchmark } from '../frame/benchmark.ts';
import { Load } from '../parts/load.ts';
import { places } from '../parts/places.ts';

const SOCKETS = 10_000;

/** A fresh capture's first look: milliseconds until every record is decoded, and how many have owners. */
function look(holders: ReadonlySet<number>): { ms: number; owned: number } {
  const capture = Capture.open({ addonPath: places.addon, objectPath: places.object });
  try {
    const reader = new BatchReader();
    const writer = new BatchWriter(1n);
    let owned = 0;
    const begin = performance.now();
    for (const { buffer, payloadBytes, records } of capture.snapshot()) {
      const facts = { records, lostBefore: 0, wallOffsetNs: 0n };
      reader.load(writer.seal(buffer, capture.headroom, payloadBytes, facts));
      while (reader.next()) {
        if (reader.type !== RecordType.SOCKET || !(reader.flags & RecordFlag.OWNER)) continue;
        if (holders.has(reader.socket.pid)) owned++;
      }
    }
    return { ms: performance.now() - begin, owned };
  } finally {
    capture.close();
  }
}

export const snapshot: Benchmark = {
  name: 'snapshot',
  what: `${SOCKETS} open sockets in several network namespaces → the owner of each is known`,
  async run(rounds) {
    const hold = new Load('hold', { sockets: SOCKETS, processes: 4 });
    try {
      const { pids } = await hold.said('holders');
      const { sockets } = await hold.said('ready');
      const holders = new Set(pids as number[]);
      const looks = await rounds.repeat(() => look(holders));
      const unknown = looks.find(({ owned }) => owned < Number(sockets));
      if (unknown) throw new Error(`${Number(sockets) - unknown.owned} sockets without an owner`);
      return [
        {
          ...{ key: 'snapshot.ms', unit: 'ms', goal: { atMost: 25 } },
          rounds: looks.map(({ ms }) => ms),
        },
      ];
    } finally {
      await hold.stop();
    }
  },
};
