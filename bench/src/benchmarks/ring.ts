import { Capture } from '@netstatd/capture';
import { BatchReader, BatchWriter, RecordType } from '@netstatd/records';
import { spawnSync } from 'node:child_process';
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

/** Chunks that the reader thread hands over before it waits (QUEUE_CHUNKS in libs/capture). */
const QUEUED_CHUNKS = 16;

/** The collector's own way, from the ring to decoded fields. */
class Reading {
  readonly #capture = Capture.open({ addonPath: places.addon, objectPath: places.object });
  readonly #ring = ringOf(process.pid);
  readonly #reader = new BatchReader();
  readonly #writer = new BatchWriter(1n);
  #chunks: number[] = [];
  #done: () => void = () => undefined;
  #sum = 0;

  constructor() {
    this.#capture.start((buffer, payloadBytes, records) => {
      const facts = { records, lostBefore: 0, wallOffsetNs: 0n };
      this.#reader.load(this.#writer.seal(buffer, this.#capture.headroom, payloadBytes, facts));
      this.#sum += decode(this.#reader);
      this.#chunks.push(records);
      if (sumOf(this.#chunks) >= RECORDS) this.#done();
    });
  }

  /**
   * Nanoseconds a record of a full ring. The ring is filled while this process waits for it: a few chunks are
   * queued by then, and are not counted as read, though their decoding takes time.
   */
  async round(): Promise<number> {
    this.#chunks = [];
    const done = new Promise<void>((resolve) => (this.#done = resolve));
    const args = ['generate', '--object', places.generator, '--ring', String(this.#ring)];
    spawnSync(places.load, args, { input: `${CONNECTIONS}\n` });
    const begin = performance.now();
    await done;
    const took = performance.now() - begin;
    return (1e6 * took) / sumOf(this.#chunks.slice(QUEUED_CHUNKS));
  }

  /** Whatever was decoded, so that it had to be. */
  close(): number {
    this.#capture.close();
    return this.#sum;
  }
}

const sumOf = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0);

export const ring: Benchmark = {
  name: 'ring',
  what: "a full ring buffer → all fields decoded in TypeScript, ÷ libbpf's consumer in C",
  async run(rounds) {
    const consumer = new Load('consume', { object: places.generator, 'ring-bytes': 16 << 20 });
    const reading = new Reading();
    try {
      await consumer.said('ready');
      for (let i = 0; i < 5; i++) await reading.round();
      const { ours, limit, ratios } = await rounds.inTurn(
        () => reading.round(),
        async () => {
          const said = await consumer.ask(String(CONNECTIONS), 'consumed');
          return (1e9 * Number(said.seconds)) / Number(said.records);
        },
      );
      const note = `ns a record: ${ours.map((ns) => ns.toFixed(1)).join(', ')}`;
      return [
        {
          ...{ key: 'ring.decodeVsC', unit: 'ratio', goal: { atLeast: 0.6 }, note },
          rounds: ratios.map((ratio) => 1 / ratio),
          limit: { what: "libbpf's consumer in C", unit: 'ns/record', rounds: limit },
        },
      ];
    } finally {
      reading.close();
      await consumer.stop();
    }
  },
};
