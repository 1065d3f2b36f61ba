import { connectBus, NatsServer, subjects, unpack, type Bus } from '@netstatd/bus';
import { columns, type EventRow } from '@netstatd/events';
import { BatchWriter } from '@netstatd/records';
import { Readiness, createLog } from '@netstatd/service';
import {
  BatchFeed,
  requestSnapshot,
  StatusPublisher,
  type Batch,
  type SnapshotQuery,
} from '@netstatd/stream';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RuntimeEvents, RuntimeState } from '@netstatd/containers';
import { podContainer } from './machine.fixture.ts';
import {
  cgroup,
  Harness,
  process as processes,
  tcp,
  toEvent,
  type Event,
} from './harness.fixture.ts';
import { EnricherService } from './service.ts';

const NODE = 'node.example';
const curl = { pid: 4_000_001, startNs: 5e9, comm: 'curl' };
const log = createLog({ name: 'test', level: 'error' });
/** Only its helpers for marks are used. */
const helper = new Harness();
const stateDir = mkdtempSync(join(tmpdir(), 'netstatd-enricher-nats-'));

let server: NatsServer;
let enricherBus: Bus;
let bus: Bus;
let service: EnricherService;
let collector: StatusPublisher;
/** A runtime that knows what a test says. */
let runtime: RuntimeEvents;
let runtimeState: RuntimeState = { name: 'containerd /c', synced: true };
const asked: string[] = [];
const ready = new Readiness();
const requests: unknown[] = [];
const live: Event[] = [];
const writer = new BatchWriter(1n);

beforeAll(async () => {
  server = await NatsServer.start({ stateDir });
  [enricherBus, bus] = (await Promise.all(
    ['enricher', 'test'].map((name) => connectBus({ url: server.url, name, log })),
  )) as [Bus, Bus];
  await until(() => enricherBus.connected && bus.connected);
  bus.subscribe(subjects(NODE).resync, (payload) => requests.push(unpack(payload)));
  new BatchFeed({
    ...{ bus, node: NODE, log },
    onBatch: (batch: Batch) => live.push(...Array.from(batch.rows, toEvent)),
    onGap: (gap) => expect(gap).toBe('none'),
  });
  await bus.flush();
  service = new EnricherService({
    ...{
      bus: enricherBus,
      node: NODE,
      acceptWaitMs: 100,
      procRoot: '/proc',
      replay: false,
      version: '1',
      log,
    },
    ready,
    follow: (events) => {
      runtime = events;
      return {
        get state() {
          return runtimeState;
        },
        get states() {
          return [runtimeState];
        },
        ...{ counters: { sources: 1, connects: 1 }, size: 0, close: () => undefined },
        inspect: (id) => {
          asked.push(id);
          return Promise.resolve(false);
        },
      };
    },
  });
});

afterAll(async () => {
  collector.close();
  service.close();
  await Promise.all([bus.close(), enricherBus.close()]);
  await server.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 10));
}

function publish(...records: Uint8Array[]): void {
  bus.publish(subjects(NODE).raw, writer.batch(records));
}

async function rowsOf(query: SnapshotQuery): Promise<{ rows: EventRow[]; next?: number | string }> {
  const rows: EventRow[] = [];
  let next: number | string | undefined;
  for await (const page of requestSnapshot(bus, NODE, query, { timeoutMs: 5000 })) {
    rows.push(...page.rows);
    next = page.next;
  }
  return next === undefined ? { rows } : { rows, next };
}

test('it says what it waits for, and becomes ready when the collector is there and the state is whole', async () => {
  await until(() => requests.length > 0);
  expect(requests[0]).toMatchObject({ reason: 'start' });
  expect(ready.reasons()).toMatchObject({
    raw: 'nothing was heard of the collector',
    state: 'waiting for a snapshot of the collector',
  });
  collector = new StatusPublisher({
    ...{ bus, node: NODE, service: 'collector', version: '1', intervalMs: 200 },
    read: () => ({ ready: true, counters: {}, capture: { tcp: 'tp_btf' } }),
  });
  publish(...helper.marked(1, 0));
  await until(() => ready.ready);
  await until(() =>
    live.some(({ capture }) => (capture as { tcp?: string } | undefined)?.tcp === 'tp_btf'),
  );
});

test('events arrive in order, and the snapshot has the same', async () => {
  publish(processes.executed(2, curl, '/usr/bin/curl'));
  for (let cookie = 1; cookie <= 30; cookie++) {
    publish(tcp.connecting(10, cookie, curl), tcp.established(11, cookie, curl));
  }
  await until(() => live.filter(({ state }) => state === 'ESTABLISHED').length === 30);
  const { rows } = await rowsOf({});
  const types = rows.map(([type]) => type);
  expect([...new Set(types)]).toEqual(['host.info', 'process.metainfo', 'connection.event']);
  expect(types.filter((type) => type === 'connection.event')).toHaveLength(30);
});

test('a snapshot is filtered, and cut into parts that join without gap or repeat', async () => {
  const types: SnapshotQuery['types'] = ['process.metainfo', 'connection.event'];
  const filter = { exe: ['/usr/bin/curl'] };
  const found: EventRow[] = [];
  let query: SnapshotQuery = { types, filter, limit: 7 };
  for (;;) {
    const { rows, next } = await rowsOf(query);
    expect(rows.length).toBeLessThanOrEqual(7);
    found.push(...rows);
    if (next === undefined) break;
    query = { types, filter, limit: 7, after: next };
  }
  const cookies = found
    .filter(([type]) => type === 'connection.event')
    .map((row) => row[columns['connection.event'].sockCookie]);
  expect(cookies).toEqual(Array.from({ length: 30 }, (_, at) => at + 1));
  expect(found).toHaveLength(31);
  expect((await rowsOf({ types, filter: { exe: ['/bin/other'] } })).rows).toEqual([]);
});

test('a bad filter or cursor is refused with the reason', async () => {
  await expect(rowsOf({ filter: { port: ['x'] } })).rejects.toThrow(/port/);
  await expect(rowsOf({ after: 'x' })).rejects.toThrow(/cursor/);
});

test('A22 any process can be asked for: known, read from /proc, or not there', async () => {
  const exeOf = async (pid: number) =>
    (await rowsOf({ pid })).rows.map((row) => row[columns['process.metainfo'].exe]);
  expect(await exeOf(curl.pid)).toEqual(['/usr/bin/curl']);
  expect(await exeOf(process.pid)).toEqual([process.execPath]);
  expect(await exeOf(3_999_999)).toEqual([]);
});

test('thousands of containers with long labels are in the state, page by page', async () => {
  const long = 'x'.repeat(1000);
  const labels = { 'io.kubernetes.pod.name': 'shop-1', a: long, b: long, c: long };
  const ids = Array.from({ length: 1500 }, (_, at) => at.toString(16).padStart(64, '0'));
  for (const id of [...ids].reverse()) {
    runtime.container(podContainer(id, `shop-${id.slice(-2)}`, { labels }));
  }
  const types: SnapshotQuery['types'] = ['container.added'];
  const found: unknown[] = [];
  let query: SnapshotQuery = { types, limit: 700 };
  for (;;) {
    const { rows, next } = await rowsOf(query);
    found.push(...rows.map((row) => row[columns['container.added'].containerUid]));
    if (next === undefined) break;
    query = { types, limit: 700, after: next };
  }
  expect(found).toEqual(ids);
  expect((await rowsOf({ types })).rows).toHaveLength(1500);
  expect(service.counters()).toMatchObject({ oversizedRows: 0, 'runtime:connects': 1 });
});

test('a runtime that does not know a container keeps nothing waiting; one that is away is a note', async () => {
  const ID = 'ab'.repeat(32);
  const web = { pid: 4_000_002, startNs: 6e9, comm: 'web', cgroupId: 9_000_000 };
  publish(cgroup.made(30, web.cgroupId, `/docker/${ID}`), tcp.connecting(31, 500, web));
  await until(() => live.some(({ containerUid, pid }) => containerUid === ID && pid === web.pid));
  expect(new Set(asked)).toEqual(new Set([ID]));
  runtimeState = { name: 'containerd /c', synced: false, reason: 'no such socket' };
  await until(() => ready.notes().containers === 'containers lack names: no such socket');
  expect(ready.ready).toBe(true);
  publish(tcp.closed(32, 500), cgroup.removed(33, web.cgroupId, `/docker/${ID}`));
  await until(() => live.at(-1)?.type === 'container.deleted');
});

test('what is no batch is counted and changes nothing', async () => {
  const before = service.counters().badBatches ?? 0;
  bus.publish(subjects(NODE).raw, new Uint8Array(100));
  await until(() => service.counters().badBatches === before + 1);
  expect(service.counters()).toMatchObject({ connections: 30, 'events:6:2:ESTABLISHED': 30 });
  await until(() => !service.enricher.synced && requests.length > 1);
  publish(...helper.marked(20, 0));
  await until(() => service.enricher.synced);
});

test('without the collector it is not ready, and says so', async () => {
  collector.close();
  await until(() => ready.reasons().raw === 'the collector is silent');
}, 20_000);
