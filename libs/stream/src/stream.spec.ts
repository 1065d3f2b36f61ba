import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bus } from '@netstatd/bus';
import { connectBus, NatsServer, pack } from '@netstatd/bus';
import type { EventRow } from '@netstatd/events';
import type { Batch } from './message.ts';
import { BatchFeed } from './feed.ts';
import { Follower } from './follower.ts';
import { StreamPublisher } from './publisher.ts';
import { requestSnapshot } from './request-snapshot.ts';
import type { Gap } from './sequence.ts';
import type { BoardChange } from './status-board.ts';
import { StatusBoard } from './status-board.ts';
import { StatusPublisher } from './status-publisher.ts';

// Other tests run on the same processors.
jest.setTimeout(60_000);

const log = { info: () => undefined, warn: () => undefined };

let stateDir: string;
let server: NatsServer;
const cleanups: (() => unknown)[] = [];

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'netstatd-stream-'));
  server = await NatsServer.start({ stateDir });
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await server.stop();
  await rm(stateDir, { recursive: true });
});

function closing<T extends { close(): unknown }>(one: T): T {
  cleanups.push(() => one.close());
  return one;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function bus(): Promise<Bus> {
  const opened = closing(await connectBus({ url: server.url, name: 'test', log }));
  await until(() => opened.connected);
  return opened;
}

const row = (at: number): EventRow => ['node.up', at, 'x'.repeat(at % 300)];
const rows = (count: number): EventRow[] => Array.from({ length: count }, (_, i) => row(i));

async function publisher(state: () => Iterable<EventRow>, node = 'a.b') {
  const own = await bus();
  return closing(new StreamPublisher({ bus: own, node, snapshot: state, log, beatMs: 100 }));
}

describe('on a real bus', () => {
  test('a large state comes whole, in pages', async () => {
    const state = rows(100_000);
    const { epoch } = await publisher(() => state);
    const seen: EventRow[] = [];
    let pages = 0;
    for await (const page of requestSnapshot(await bus(), 'a.b', {}, { timeoutMs: 5000 })) {
      expect(page).toMatchObject({ epoch, page: pages++ });
      seen.push(...page.rows);
    }
    expect(seen.length).toBe(state.length);
    expect(seen.every((one, i) => one[1] === i)).toBe(true);
    expect(pages).toBeGreaterThan(100);
  });

  test('a state with a page missing is refused', async () => {
    const [asker, answerer] = [await bus(), await bus()];
    const page = { v: 1, node: 'a', epoch: 1, seq: 1, before: 0, fields: {}, events: [] };
    const answers = [
      [
        { ...page, page: 0, last: false },
        { ...page, page: 2, last: true },
      ],
      [
        { ...page, page: 0, last: false },
        { ...page, page: 1, seq: 2, last: true },
      ],
      [{ ...page, page: 0, node: 'b', last: true }],
    ];
    closing(
      answerer.subscribe('netstatd.a.snapshot', (_payload, _subject, reply = '') => {
        for (const one of answers.shift() ?? []) answerer.respond(reply, pack(one));
      }),
    );
    await answerer.flush();
    const ask = async () => {
      const pages = requestSnapshot(asker, 'a', {}, { timeoutMs: 500 });
      while ((await pages.next()).done !== true);
    };
    await expect(ask()).rejects.toThrow('page 1 of the snapshot is missing');
    await expect(ask()).rejects.toThrow('different snapshots');
    await expect(ask()).rejects.toThrow('different snapshots');
    await expect(ask()).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect(requestSnapshot(asker, 'c', {}, { timeoutMs: 500 }).next()).rejects.toMatchObject({
      code: 'NO_RESPONDER',
    });
  });

  test('more askers than are answered at a time all get their state', async () => {
    const state = rows(2000);
    const source = await publisher(() => state);
    const asker = await bus();
    const ask = async () => {
      let count = 0;
      for await (const page of requestSnapshot(asker, 'a.b', {}, { timeoutMs: 5000 }))
        count += page.rows.length;
      return count;
    };
    const counts = await Promise.all(Array.from({ length: 30 }, ask));
    expect(new Set(counts)).toEqual(new Set([2000]));
    expect(source.counters).toMatchObject({ snapshots: 30, snapshotsRefused: 0 });
  });

  test('the bus is killed and comes back: what was missed is counted, the state is whole', async () => {
    const published: EventRow[] = [];
    const source = await publisher(() => published);
    const known = new Set<unknown>();
    const gaps: Gap[] = [];
    let live = 0;
    let complete = false;
    const follower = closing(
      new Follower({
        bus: await bus(),
        node: 'a.b',
        log,
        onSnapshotStart: () => {
          known.clear();
          complete = false;
        },
        onRow: (event) => {
          expect(known.has(event[1])).toBe(false);
          known.add(event[1]);
          if (complete) live++;
        },
        onSnapshotComplete: () => (complete = true),
        onGap: (gap) => gaps.push(gap),
      }),
    );
    follower.start();
    await until(() => follower.live);
    for (let i = 0; i < 20_000; i++) {
      const event = row(i);
      published.push(event);
      source.publish(event);
      if (i % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      if (i === 5000) process.kill(server.pid ?? 0, 'SIGKILL');
      if (i === 10_000) await server.restart();
    }
    await until(() => known.size === published.length && follower.live);
    expect(gaps.length).toBeGreaterThan(0);
    const missed = gaps.reduce((sum, { dropped = 0 }) => sum + dropped, 0);
    expect(live + missed).toBe(published.length);
    expect(source.counters.droppedEvents).toBeGreaterThan(0);
  });

  test('a feed of all nodes keeps their sequences apart', async () => {
    const sources = [await publisher(() => [], 'one'), await publisher(() => [], 'two.x')];
    const batches: Batch[] = [];
    const gaps: Gap[] = [];
    const reader = await bus();
    const feed = closing(
      new BatchFeed({
        bus: reader,
        node: '*',
        log,
        onBatch: (batch) => batches.push(batch),
        onGap: (gap) => gaps.push(gap),
      }),
    );
    await reader.flush();
    const count = (node: string) =>
      batches.filter((one) => one.node === node).flatMap((one) => [...one.rows]).length;
    for (const source of sources) for (const one of rows(1000)) source.publish(one);
    await until(() => count('one') === 1000 && count('two.x') === 1000);
    expect(gaps).toEqual([]);

    const last = batches.findLast((one) => one.node === 'one');
    if (!last) throw new Error('no batch');
    const liar = await bus();
    const { epoch, seq } = last;
    const forged = {
      v: 1,
      node: 'one',
      epoch,
      seq: seq + 50,
      before: 5000,
      fields: {},
      events: [],
    };
    liar.publish('netstatd.two_x.events', pack(forged));
    liar.publish('netstatd.one.events', pack({ ...forged, seq: 1 }));
    liar.publish('netstatd.one.events', pack(forged));
    await until(() => gaps.length > 0);
    expect(gaps[0]).toEqual({ node: 'one', missed: 4000, dropped: 4000, place: 'bus' });
    expect(feed.counters).toMatchObject({ malformed: 1, missedEvents: 4000 });
    expect(feed.counters.duplicates).toBeGreaterThan(0);
  });

  test('the board knows who is there, who was restarted and who fell silent', async () => {
    const changes: BoardChange[] = [];
    const listener = await bus();
    const board = closing(
      new StatusBoard({
        bus: listener,
        node: '*',
        log,
        heartbeatMs: 50,
        onChange: (change) => changes.push(change),
      }),
    );
    await listener.flush();
    const own = await bus();
    const start = () =>
      new StatusPublisher({
        bus: own,
        node: 'a.b',
        service: 'enricher',
        version: '1.2.3',
        intervalMs: 50,
        read: () => ({ ready: false, reason: 'no bus', counters: { events: 7 } }),
      });
    const first = start();
    await until(() => board.counters.heartbeats > 2);
    first.close();
    own.publish('netstatd.a_b.status', pack({ v: 1 }));
    own.publish('netstatd.other.status', pack(board.get('a.b', 'enricher')?.status));
    await until(() => board.get('a.b', 'enricher')?.silent === true);
    const second = closing(start());
    await until(() => board.get('a.b', 'enricher')?.silent === false);
    second.publish();
    const kinds = changes.map(({ kind }) => kind);
    expect(kinds).toEqual(['up', 'silent', 'up']);
    expect(board.entries()).toHaveLength(1);
    expect(board.counters.malformed).toBe(2);
    expect(board.get('a.b', 'enricher')?.status).toMatchObject({
      service: 'enricher',
      version: '1.2.3',
      pid: process.pid,
      ready: false,
      reason: 'no bus',
      counters: { events: 7 },
    });
  });
});
