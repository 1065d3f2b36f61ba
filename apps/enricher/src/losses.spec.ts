import { BatchWriter, RecordFlag, SocketKind } from '@netstatd/records';
import {
  connectionsOf,
  Harness,
  ownedBy,
  process,
  socket,
  storyOf,
  tcp,
} from './harness.fixture.ts';

const curl = { pid: 100, startNs: 5e9, comm: 'curl' };
const nginx = { pid: 200, startNs: 6e9, comm: 'nginx' };

const open = (ms: number, cookie: number, fields: object = {}) =>
  socket(
    SocketKind.OPEN,
    ms,
    cookie,
    { state: 1, direction: 1, ...ownedBy(curl), ...fields },
    RecordFlag.SNAPSHOT,
  );

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
  harness.wait(20);
  harness.snapshot(5, process.exists(5, curl, '/usr/bin/curl'), open(5, 1), open(5, 2));
  harness.requests.length = 0;
});

/** A batch that never arrives. */
const loseBatch = (...records: Uint8Array[]): void => void harness.batch(...records);

test('at its start it asks for a snapshot until one has come whole', () => {
  const fresh = new Harness();
  fresh.wait(2500);
  expect(fresh.requests).toEqual(['start', 'start', 'start']);
  expect(fresh.enricher.synced).toBe(false);
  fresh.send(...fresh.marked(10, 2, open(10, 1)));
  expect(fresh.enricher.synced).toBe(false);
  expect(fresh.enricher.counters.brokenSnapshots).toBe(1);
  fresh.snapshot(20, open(20, 1));
  expect(fresh.enricher.synced).toBe(true);
  expect(fresh.wait(3000)).toEqual([]);
  expect(fresh.requests).toHaveLength(4 - 1);
});

test('Z02 a batch lost on the bus is counted, told, and made up for by the next snapshot', () => {
  loseBatch(tcp.closed(10, 1), tcp.connecting(11, 3, curl));
  const [lagged] = harness.send(tcp.connecting(20, 4, curl));
  expect(lagged).toMatchObject({ type: 'stream.lagged', dropped: 2, place: 'bus' });
  expect(harness.enricher.counters.lostOnBus).toBe(2);
  harness.wait(20);
  expect(harness.requests).toEqual(['lost records (bus)']);
  const corrected = harness.snapshot(100, open(100, 2), open(100, 3), open(100, 4));
  expect(connectionsOf(corrected).map(({ sockCookie }) => sockCookie)).toEqual([3]);
  const settled = harness.wait(2000);
  expect(settled.map(({ sockCookie, state }) => [sockCookie, state])).toEqual([
    [4, 'ESTABLISHED'],
    [1, 'CLOSE'],
  ]);
  expect(settled[1]).not.toHaveProperty('closeReason');
  expect(harness.send(tcp.closed(101, 1), tcp.established(90, 4, curl))).toEqual([]);
});

test('records that the kernel dropped are counted once', () => {
  harness.lostBefore = 7;
  const events = harness.send(tcp.connecting(20, 4, curl));
  expect(events[0]).toMatchObject({ type: 'stream.lagged', dropped: 7, place: 'kernel' });
  expect(storyOf(harness.send(tcp.established(21, 4, curl)))).toEqual(['ESTABLISHED']);
  expect(harness.enricher.counters.lostInKernel).toBe(7);
});

test('what a snapshot does not show is not closed when its end is only yet to be read', () => {
  harness.lostBefore = 1;
  harness.snapshot(100, open(100, 2));
  const ended = harness.send(tcp.closed(99, 1, { closeSide: 2 }));
  expect(ended).toEqual([expect.objectContaining({ sockCookie: 1, closeReason: 'remote' })]);
  expect(harness.wait(2000)).toEqual([]);
});

test('what is read after the snapshot, and had ended before it, is closed when all has been read', () => {
  harness.lostBefore = 1;
  harness.snapshot(100, open(100, 1), open(100, 2));
  expect(storyOf(harness.send(tcp.connecting(90, 3, curl), tcp.established(91, 3, curl)))).toEqual([
    'SYN_SENT',
    'ESTABLISHED',
  ]);
  const settled = harness.wait(2000);
  expect(settled).toEqual([expect.objectContaining({ sockCookie: 3, state: 'CLOSE' })]);
});

test('a snapshot with a hole in it closes nothing', () => {
  harness.lostBefore = 1;
  harness.send(tcp.connecting(20, 4, curl));
  const [begin, ...rest] = harness.marked(100, 1, open(100, 1));
  harness.send(begin!);
  loseBatch(tcp.connecting(21, 5, curl));
  harness.send(...rest);
  expect(connectionsOf(harness.wait(3000))).toEqual([]);
  expect(harness.enricher.synced).toBe(false);
});

test('a loss during a snapshot calls for another one', () => {
  const [begin, ...rest] = harness.marked(100, 2, open(100, 1), open(100, 2));
  harness.send(begin!);
  harness.lostBefore = 1;
  harness.send(...rest);
  expect(harness.enricher.synced).toBe(false);
  harness.snapshot(200, open(200, 1), open(200, 2));
  expect(harness.enricher.synced).toBe(true);
});

test('a collector that starts again is followed, and its snapshot corrects the rest', () => {
  harness.writer = new BatchWriter(2n);
  const events = harness.snapshot(100, open(100, 2), open(100, 9));
  expect(events.map(({ type, place }) => [type, place])).toEqual([
    ['stream.lagged', 'restart'],
    ['connection.event', undefined],
  ]);
  expect(harness.enricher.counters.collectorRestarts).toBe(1);
  expect(harness.wait(2000).map(({ sockCookie, state }) => [sockCookie, state])).toEqual([
    [1, 'CLOSE'],
  ]);
});

test('the owner that a lost accept would have named comes with the snapshot', () => {
  harness.send(tcp.inbound(20, 8));
  harness.wait(300);
  const shown = harness.snapshot(400, open(400, 1), open(400, 2), open(400, 8, ownedBy(nginx)));
  expect(storyOf(connectionsOf(shown))).toEqual(['accepted']);
  expect(connectionsOf(shown)[0]).toHaveProperty('pid', 200);
});

test('a connection taken for closed while it waited to be accepted comes back', () => {
  harness.lostBefore = 1;
  harness.send(tcp.inbound(20, 8));
  harness.snapshot(400, open(400, 1), open(400, 2));
  expect(storyOf(harness.wait(1000))).toEqual(['ESTABLISHED', 'CLOSE']);
  expect(storyOf(connectionsOf(harness.send(tcp.accepted(900, 8, nginx))))).toEqual([
    'ESTABLISHED',
  ]);
});

test('batches that are none, cut or repeated are counted and harm nothing', () => {
  const { counters } = harness.enricher;
  const read = (bytes: Uint8Array) => harness.during(() => harness.enricher.read(bytes, 50));
  expect(read(new Uint8Array())).toEqual([]);
  expect(read(new Uint8Array(500).fill(7))).toEqual([]);
  const batch = harness.batch(tcp.connecting(20, 4, curl));
  expect(connectionsOf(read(batch))).toHaveLength(1);
  expect(read(batch)).toEqual([]);
  const broken = harness.batch(tcp.connecting(21, 5, curl), tcp.connecting(22, 6, curl));
  new DataView(broken.buffer, broken.byteOffset).setUint16(BatchWriter.headroom + 152, 3, true);
  expect(storyOf(read(broken))).toEqual(['SYN_SENT', 'stream.lagged']);
  expect(counters).toMatchObject({ badBatches: 3, staleBatches: 1, lostOnBus: 1 });
});
