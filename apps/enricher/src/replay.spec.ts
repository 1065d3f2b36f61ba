import { BatchWriter, encodeHost, markReplayed, RecordFlag, SocketKind } from '@netstatd/records';
import { Enricher } from './enricher.ts';
import {
  Harness,
  process as processes,
  socket,
  tcp,
  toEvent,
  type Event,
} from './harness.fixture.ts';
import { recordedMachine } from './machine.ts';
import type { EventRow } from '@netstatd/events';

const curl = { pid: process.pid, startNs: 5e9, comm: 'curl' };
/** Only its helpers for marks are used. */
const helper = new Harness();

/** An enricher of a recording. */
class Replay {
  readonly rows: EventRow[] = [];
  readonly enricher = new Enricher({
    ...recordedMachine('0'),
    emit: (row) => this.rows.push(row),
    requestResync: () => undefined,
    waits: { next: () => 1000, reset: () => undefined },
    acceptWaitMs: 100,
    replay: true,
  });
  readonly #writer = new BatchWriter(1n);

  play(...records: Uint8Array[]): Event[] {
    const batch = this.#writer.batch(records, { readNs: 7_000_000_000n });
    markReplayed(batch, 1n);
    const from = this.rows.length;
    this.enricher.read(batch, 7000);
    return this.rows.slice(from).map(toEvent);
  }

  get host(): Event {
    return toEvent(this.enricher.host.row(this.enricher.nowMicros));
  }
}

const facts = {
  hostIPs: ['192.0.2.7', '::1'],
  hostNetNS: 99,
  kernel: '5.10',
  bootId: 'b',
  capture: { source: 'procfs', tcp: '/proc/net/tcp' },
};

test('the host is the one that was recorded, at the time of the recording', () => {
  const replay = new Replay();
  expect(replay.host).toEqual({
    ...{ type: 'host.info', timestamp: '1970-01-01T00:00:00.000000Z', nodeName: 'node' },
    ...{ hostIPs: [], version: '0', capture: {} },
  });
  replay.play(encodeHost({}, JSON.stringify(facts)));
  expect(replay.host).toMatchObject({
    ...facts,
    timestamp: '1970-01-01T00:00:07.000000Z',
    capture: { source: 'replay', recordedFrom: 'procfs', tcp: '/proc/net/tcp' },
  });
  const [connecting] = replay
    .play(tcp.connecting(10, 1, curl, { remoteAddress: Uint8Array.of(192, 0, 2, 7), netns: 99 }))
    .slice(-1);
  expect(connecting).toMatchObject({ remote: { kind: 'host' }, pid: process.pid });
});

test('what was not recorded is not looked up on this machine', () => {
  const replay = new Replay();
  const events = replay.play(tcp.connecting(10, 1, curl));
  expect(events.map(({ type }) => type)).toEqual(['process.metainfo', 'connection.event']);
  for (const event of events) expect(event).not.toHaveProperty('exe');
  expect(replay.enricher.processes.read(process.pid)).toBeUndefined();
});

test.each([
  ['no JSON', '{"hostIPs":'],
  ['another thing', '[1]'],
  ['an address that is none', JSON.stringify({ ...facts, hostIPs: ['<script>'] })],
  ['a number too many', JSON.stringify({ ...facts, capture: { tcp: 7 } })],
  ['nothing', ''],
])('facts that are %s change nothing', (_what, text) => {
  const replay = new Replay();
  replay.play(encodeHost({}, text));
  expect(replay.host).toMatchObject({ hostIPs: [], capture: {} });
  expect(replay.enricher.counters.unknownKinds).toBe(1);
});

test('a recording and this machine are not mixed', () => {
  const harness = new Harness();
  const batch = harness.batch(tcp.connecting(10, 1, curl));
  markReplayed(batch, 1n);
  harness.enricher.read(batch, 0);
  expect(harness.rows).toEqual([]);
  expect(harness.enricher.counters.foreignBatches).toBe(1);
  // Of this machine, a recorder's facts tell nothing that is not known.
  expect(harness.send(encodeHost({}, JSON.stringify(facts)))).toEqual([]);
  expect(harness.enricher.host.netns).not.toBe(99);
  const replay = new Replay();
  replay.enricher.read(new BatchWriter(1n).batch([tcp.connecting(10, 1, curl)]), 0);
  expect([replay.rows, replay.enricher.counters.foreignBatches]).toEqual([[], 1]);
});

test('a loss has the time of the recording', () => {
  const replay = new Replay();
  replay.play(...helper.marked(1, 0), processes.executed(2, curl, '/usr/bin/curl'));
  const skipped = new BatchWriter(1n);
  skipped.seq = 5;
  skipped.records = 20;
  const batch = skipped.batch([], { readNs: 9_000_000_000n });
  markReplayed(batch, 1n);
  replay.enricher.read(batch, 9000);
  expect(replay.rows.map(toEvent).at(-1)).toMatchObject({
    ...{ type: 'stream.lagged', place: 'bus', dropped: 17 },
    timestamp: '1970-01-01T00:00:09.000000Z',
  });
});

test('numbers that nobody counted are absent', () => {
  const harness = new Harness();
  harness.send(tcp.established(10, 1, curl));
  const counts = { state: 7, durationMicros: 5000, bytesSent: 10, retransmits: 1 };
  const [closed] = harness.send(socket(SocketKind.CLOSED, 20, 1, counts, RecordFlag.UNCOUNTED));
  expect(closed).toMatchObject({ state: 'CLOSE' });
  for (const field of ['bytesSent', 'bytesReceived', 'retransmits', 'durationMicros'])
    expect(closed).not.toHaveProperty(field);
});
