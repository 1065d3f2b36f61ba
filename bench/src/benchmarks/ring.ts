import { Capture } from '@netstatd/capture';
import { BatchReader, BatchWriter, RecordType } from '@netstatd/records';
import type { Benchmark } from '../frame/benchmark.ts';
import { Load } from '../parts/load.ts';
import { ringOf } from '../parts/netstatd.ts';
import { places } from '../parts/places.ts';

const CONNECTIONS = 16_000;
const RECORDS = 6 * CONNECTIONS;

/** Reads every field of every record, as numbers and texts; a sum, so that nothing is left out. */
function decode(reader: BatchReader): number {
  let sum = 0;
  while (reader.next()) {
    if (reader.type !== RecordType.SOCKET) continue;
    const { socket: s } = reader;
    sum += reader.kind + reader.flags + reader.cpu + reader.timeMicros + s.cookie + s.cgroupId;
    sum += s.ownerStartNs + s.bytesSent + s.bytesReceived + s.durationMicros + s.handshakeMicros;
    sum += s.rttMicros + s.retransmits + s.pid + s.uid + s.netns + s.error + s.localPort;
    sum += s.remotePort + s.family + s.protocol + s.state + s.direction + s.closeSide;
    sum += s.localAddress.length + s.remoteAddress.length + s.comm.length;
  }
  return sum;
}

/** The collector's own reader on a full ring: from the first look until the last field is decoded. */
async function readFullRing(): Promise<number> {
  const capture = Capture.open({ addonPath: places.addon, objectPath: places.object });
  const generator = new Load('generate', { object: places.generator, ring: ringOf(process.pid) });
  try {
    await generator.said('ready');
    await generator.ask(String(CONNECTIONS), 'made');
    const reader = new BatchReader();
    const writer = new BatchWriter(1n);
    let records = 0;
    let sum = 0;
    const begin = performance.now();
    await new Promise<void>((resolve) =>
      capture.start((buffer, payloadBytes, count) => {
        const facts = { records: count, lostBefore: 0, wallOffsetNs: 0n };
        reader.load(writer.seal(buffer, capture.headroom, payloadBytes, facts));
        sum += decode(reader);
        records += count;
        if (records >= RECORDS) resolve();
      }),
    );
    const took = performance.now() - begin;
    if (sum === 0) throw new Error('nothing was decoded');
    return (1e6 * took) / records;
  } finally {
    await generator.stop();
    capture.close();
  }
}

export const ring: Benchmark = {
  name: 'ring',
  what: "a full ring buffer → all fields decoded in TypeScript, ÷ libbpf's consumer in C",
  async run(rounds) {
    const consumer = new Load('consume', { object: places.generator, 'ring-bytes': 16 << 20 });
    try {
      await consumer.said('ready');
      for (let i = 0; i < 3; i++) await readFullRing();
      const { ours, limit, ratios } = await rounds.inTurn(readFullRing, async () => {
        const said = await consumer.ask(String(CONNECTIONS), 'consumed');
        return (1e9 * Number(said.seconds)) / Number(said.records);
      });
      const note = `ns a record: ${ours.map((ns) => ns.toFixed(1)).join(', ')}`;
      return [
        {
          ...{ key: 'ring.decodeVsC', unit: 'ratio', goal: { atLeast: 0.6 }, note },
          rounds: ratios.map((ratio) => 1 / ratio),
          limit: { what: "libbpf's consumer in C", unit: 'ns/record', rounds: limit },
        },
      ];
    } finally {
      await consumer.stop();
    }
  },
};
