import { connectBus, subjects, unpack } from '@netstatd/bus';
import type { Up } from '@netstatd/testkit';
import WebSocket from 'ws';
import type { Benchmark } from '../frame/benchmark.ts';
import type { Rounds } from '../frame/rounds.ts';
import { Client } from '../parts/client.ts';
import { Load, LOAD_PORT } from '../parts/load.ts';
import { cpuOf, pidOf, ringOf, withNetstatd } from '../parts/netstatd.ts';
import { places } from '../parts/places.ts';
import { Relay, type RelayedEvent } from '../parts/relay.ts';

const EVENTS_PER_CONNECTION = 5;
const RECORDS_PER_CONNECTION = 6;
/** Events under way at a time: less than fits into any buffer of the chain, more than 100 ms' worth. */
const WINDOW = 80_000;
const STEP = 2048;
/** In every event of the generator, once. */
const NEEDLE = `Port":${LOAD_PORT},`;

interface Run {
  perSecond: number;
  lost: number;
}

/** Keeps the chain full for a while, then waits for what is under way. */
async function drive(generator: Load, client: Client, seconds: number): Promise<Run> {
  const before = client.counted.events;
  const begin = performance.now();
  const end = begin + 1000 * seconds;
  let made = 0;
  while (performance.now() < end) {
    const underWay = made - (client.counted.events - before);
    if (underWay + STEP * EVENTS_PER_CONNECTION > WINDOW) {
      await client.news(1000);
      // Something was lost: what never comes must not stop the rest.
      if (performance.now() > end) break;
      continue;
    }
    await generator.ask(String(STEP), 'made');
    made += STEP * EVENTS_PER_CONNECTION;
  }
  await client.until(before + made);
  const seen = client.counted.events - before;
  return { perSecond: (1000 * seen) / (performance.now() - begin), lost: made - seen };
}

function generatorFor(collectorPid: number): Promise<Load> {
  const ring = ringOf(collectorPid);
  const load = new Load('generate', { object: places.generator, ring, port: LOAD_PORT });
  return load.said('ready').then(() => load);
}

/** What an event of the generator is on the bus and at a client, from a few hundred of them. */
async function sample(up: Up, generator: Load): Promise<RelayedEvent> {
  const bus = await connectBus({ url: up.endpoints().nats, name: 'bench' });
  let bytes = 0;
  let events = 0;
  bus.subscribe(subjects('bench').events, (payload) => {
    const { events: rows } = unpack(payload) as { events: unknown[] };
    if (rows.length < 200) return;
    bytes += payload.length;
    events += rows.length;
  });
  const socket = new WebSocket(
    up.url(`/conntrack?snapshot=false&port=${LOAD_PORT}&state=CLOSE`).href.replace(/^http/, 'ws'),
  );
  const text = await new Promise<string>((resolve) => {
    socket.once('message', (data: Buffer) => resolve(data.toString()));
    socket.once('open', () => void generator.ask(String(STEP), 'made'));
  });
  socket.close();
  for (let i = 0; i < 100 && events < STEP; i++) await new Promise((done) => setTimeout(done, 20));
  await bus.close();
  return {
    busBytes: bytes / Math.max(events, 1),
    text,
    perRecord: EVENTS_PER_CONNECTION / RECORDS_PER_CONNECTION,
  };
}

async function measure(up: Up, rounds: Rounds) {
  const generator = await generatorFor(pidOf(up, 'collector'));
  const event = await sample(up, generator);
  const relay = await Relay.start(event);
  const clients: Client[] = [];
  try {
    const bare = await generatorFor(relay.collectorPid);
    const client = await Client.open(up.url('/conntrack'), NEEDLE);
    clients.push(client);
    const bareClient = await Client.open(relay.url, NEEDLE);
    clients.push(bareClient);
    const seconds = rounds.seconds(4, 1.5);
    const lost: number[] = [];
    // The compiler takes a while to see what is hot: rounds before that are of another program.
    await drive(generator, client, seconds);
    await drive(bare, bareClient, 1);
    const usedBefore = cpuOf(up);
    const eventsBefore = client.counted.events;
    const { ours, limit, ratios } = await rounds.inTurn(
      async () => {
        const run = await drive(generator, client, seconds);
        lost.push(run.lost);
        return run.perSecond;
      },
      async () => (await drive(bare, bareClient, seconds)).perSecond,
      { warmUp: false },
    );
    const used = cpuOf(up);
    const events = client.counted.events - eventsBefore;
    const stages = used.map(({ part, seconds: now }, i) => {
      const spent = now - (usedBefore[i]?.seconds ?? 0);
      return `${part} ${Math.round((1e9 * spent) / events)}`;
    });
    const { dropped } = client.counted;
    return { ours, limit, ratios, lost, dropped, event, stages: stages.join(', ') };
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await relay.stop();
    await generator.stop();
  }
}

export const chain: Benchmark = {
  name: 'chain',
  what: 'records made in the kernel → events at a WebSocket client',
  run: (rounds) =>
    withNetstatd(async (up) => {
      const { ours, limit, ratios, lost, dropped, event, stages } = await measure(up, rounds);
      const relay = { what: 'bare relay of the same bytes', unit: 'events/s', rounds: limit };
      const bytes = `an event: ${event.busBytes.toFixed(0)} bytes on the bus, ${event.text.length} as JSON`;
      return [
        {
          ...{ key: 'chain.eventsPerSec', unit: 'events/s', goal: { atLeast: 300_000 } },
          ...{ rounds: ours, limit: relay, note: bytes },
        },
        {
          ...{ key: 'chain.lost', unit: 'events', goal: { atMost: 0, worst: true }, rounds: lost },
          note: `${dropped} of them told to the client as dropped`,
        },
        {
          key: 'chain.vsRelay',
          unit: 'ratio',
          goal: { atLeast: 0.4 },
          rounds: ratios,
          limit: relay,
          note: `CPU ns an event: ${stages}`,
        },
      ];
    }),
};
