import { Direction, RecordFlag, SocketKind } from '@netstatd/records';
import { connectionsOf, Harness, ip4, process, socket, storyOf, tcp } from './harness.fixture.ts';

const curl = { pid: 100, startNs: 5e9, comm: 'curl' };
const nginx = { pid: 200, startNs: 6e9, comm: 'nginx' };
const worker = { pid: 201, startNs: 7e9, comm: 'nginx' };
const serverEnd = { localAddress: ip4('10.0.0.2'), localPort: 80, remotePort: 40000 };

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
  harness.send(
    process.executed(1, curl, '/usr/bin/curl'),
    process.executed(1, nginx, '/sbin/nginx'),
  );
});

test('Z01 an outbound connection names its process and executable from the first event on', () => {
  const events = harness.send(
    tcp.connecting(10, 7, curl),
    tcp.established(11, 7, curl, { rttMicros: 99 }),
    tcp.closed(20, 7, { rttMicros: 120, retransmits: 1, closeSide: 2 }),
  );
  expect(storyOf(events)).toEqual(['process.metainfo', 'SYN_SENT', 'ESTABLISHED', 'CLOSE']);
  const [, connecting, established, closed] = events;
  expect(connecting).toMatchObject({ pid: 100, exe: '/usr/bin/curl', direction: 'outbound' });
  expect(connecting).not.toHaveProperty('localPort');
  expect(connecting).not.toHaveProperty('localIP', '0.0.0.0');
  expect(established).toMatchObject({
    ...{ localIP: '10.0.0.1', localPort: 40000, remoteIP: '10.0.0.2', remotePort: 80 },
    ...{ handshakeMicros: 250, rttMicros: 99, remote: { kind: 'external' }, uid: 1000 },
    timestamp: '2023-11-14T22:13:20.011000Z',
  });
  expect(established).not.toHaveProperty('bytesSent');
  expect(closed).toMatchObject({
    ...{ pid: 100, bytesSent: 10, bytesReceived: 20, durationMicros: 5000, retransmits: 1 },
    ...{ rttMicros: 120, closeReason: 'remote', localPort: 40000 },
  });
  expect(harness.enricher.connections.size).toBe(0);
});

test.each([
  ['refused', 111],
  ['timeout', 110],
  ['unreachable', 113],
  ['unreachable', 101],
  ['reset', 104],
])('Z04 a connect that fails is closed as %s', (closeReason, error) => {
  const events = harness.send(
    tcp.connecting(10, 7, curl),
    tcp.closed(11, 7, { error, durationMicros: 0, localPort: 0 }),
  );
  const closed = events.at(-1);
  expect(closed).toMatchObject({ state: 'CLOSE', closeReason, pid: 100, direction: 'outbound' });
  expect(closed).not.toHaveProperty('bytesSent');
  expect(closed).not.toHaveProperty('durationMicros');
});

test('Z01 an inbound connection waits for the process that accepts it, not the one that listens', () => {
  harness.send(process.forked(5, worker, nginx.pid));
  expect(harness.send(tcp.inbound(10, 8, serverEnd))).toEqual([]);
  const events = harness.send(tcp.accepted(12, 8, worker, serverEnd));
  expect(storyOf(events)).toEqual(['process.metainfo', 'ESTABLISHED']);
  expect(events[1]).toMatchObject({ pid: 201, exe: '/sbin/nginx', direction: 'inbound' });
  expect(events[1]).toHaveProperty('timestamp', '2023-11-14T22:13:20.010000Z');
  expect(harness.enricher.counters.ownersInTime).toBe(1);
});

test('a close waits behind its held connection', () => {
  expect(harness.send(tcp.inbound(10, 8), tcp.closed(11, 8))).toEqual([]);
  const events = connectionsOf(harness.send(tcp.accepted(12, 8, nginx)));
  expect(storyOf(events)).toEqual(['ESTABLISHED', 'CLOSE']);
  expect(events.map(({ pid }) => pid)).toEqual([200, 200]);
  expect(events[0]).not.toHaveProperty('bytesSent');
});

test('an owner that the close record names resolves a held connection', () => {
  const owner = { pid: 200, ownerStartNs: 6e9, comm: 'nginx' };
  const events = connectionsOf(harness.send(tcp.inbound(10, 8), tcp.closed(11, 8, owner)));
  expect(storyOf(events)).toEqual(['ESTABLISHED', 'CLOSE']);
  expect(events[0]).toHaveProperty('pid', 200);
});

test('after the wait it is sent without owner, and the owner follows', () => {
  harness.send(tcp.inbound(10, 8));
  const [released, ...rest] = harness.wait(200);
  expect(rest).toEqual([]);
  expect(released).toMatchObject({ state: 'ESTABLISHED' });
  expect(released).not.toHaveProperty('pid');
  const late = connectionsOf(harness.send(tcp.accepted(300, 8, nginx)));
  expect(storyOf(late)).toEqual(['accepted']);
  expect(late[0]).toMatchObject({ pid: 200, state: 'ESTABLISHED', sockCookie: 8 });
  expect(harness.enricher.counters.ownersLate).toBe(1);
});

test('an accept after the close is told all the same, once', () => {
  harness.send(tcp.inbound(10, 8), tcp.closed(11, 8));
  expect(storyOf(harness.wait(200))).toEqual(['ESTABLISHED', 'CLOSE']);
  expect(harness.enricher.counters.ownersMissing).toBe(1);
  const late = connectionsOf(harness.send(tcp.accepted(300, 8, nginx, { state: 7 })));
  expect(late).toEqual([expect.objectContaining({ type: 'connection.accepted', state: 'CLOSE' })]);
  expect(harness.send(tcp.accepted(301, 8, nginx, { state: 7 }))).toEqual([]);
});

test('while records keep coming the wait is measured by their time, not by when they are read', () => {
  harness.send(tcp.inbound(10, 8));
  harness.nowMs = 5000;
  const late = connectionsOf(harness.send(tcp.accepted(60, 8, nginx)));
  expect(storyOf(late)).toEqual(['ESTABLISHED']);
  harness.send(tcp.inbound(70, 9));
  expect(storyOf(connectionsOf(harness.send(tcp.connecting(200, 10, curl))))).toEqual([
    'SYN_SENT',
    'ESTABLISHED',
  ]);
});

test('connects that fail without a cookie are each told, and are not one connection', () => {
  const failed = () => tcp.closed(10, 0, { error: 101, direction: Direction.OUTBOUND });
  const events = connectionsOf(harness.send(failed(), failed()));
  expect(events).toMatchObject([
    { state: 'CLOSE', closeReason: 'unreachable' },
    { state: 'CLOSE', closeReason: 'unreachable' },
  ]);
  for (const event of events) expect(event).not.toHaveProperty('sockCookie');
});

test('a pid that is given again misleads nobody', () => {
  const other = { pid: 100, startNs: 9e9, comm: 'wget' };
  harness.send(tcp.connecting(10, 7, curl), tcp.established(11, 7, curl));
  harness.send(process.exited(12, curl), process.executed(13, other, '/usr/bin/wget'));
  const events = harness.send(tcp.connecting(14, 8, other), tcp.closed(15, 7));
  expect(connectionsOf(events).map(({ exe, sockCookie }) => [sockCookie, exe])).toEqual([
    [8, '/usr/bin/wget'],
    [7, '/usr/bin/curl'],
  ]);
});

test('A70 a process that is gone when its record is read has its name; an exec changes later ones only', () => {
  const child = { pid: 101, startNs: 8e9, comm: 'sh' };
  harness.send(process.executed(2, curl, '/bin/sh'), process.forked(3, child, 100));
  harness.send(tcp.connecting(4, 20, child));
  const again = harness.send(process.executed(5, { ...child, comm: 'nc' }, '/bin/nc', 100));
  expect(again).toEqual([
    expect.objectContaining({ type: 'process.metainfo', exe: '/bin/nc', pid: 101 }),
  ]);
  harness.send(tcp.connecting(6, 21, { ...child, comm: 'nc' }), process.exited(7, child));
  const closed = harness.send(tcp.closed(8, 20), tcp.closed(9, 21));
  expect(closed.map(({ exe, comm }) => [exe, comm])).toEqual([
    ['/bin/sh', 'sh'],
    ['/bin/nc', 'nc'],
  ]);
});

test('a socket that connects again after it failed is a new connection', () => {
  const events = connectionsOf(
    harness.send(
      tcp.connecting(10, 7, curl),
      tcp.closed(11, 7, { error: 111, durationMicros: 0 }),
      tcp.connecting(12, 7, curl),
      tcp.established(13, 7, curl),
    ),
  );
  expect(storyOf(events)).toEqual(['SYN_SENT', 'CLOSE', 'SYN_SENT', 'ESTABLISHED']);
});

test('without the records before it, an end is still told', () => {
  expect(connectionsOf(harness.send(tcp.closed(11, 99)))).toEqual([
    expect.objectContaining({ state: 'CLOSE', bytesSent: 10 }),
  ]);
});

test('remote is told apart by loopback, host and the rest', () => {
  const kinds = ['127.0.0.1', '10.0.0.9', '192.0.2.1'].map((ip, cookie) => {
    const remoteAddress = ip4(ip);
    return harness.send(tcp.connecting(10 + cookie, cookie + 1, curl, { remoteAddress })).at(-1);
  });
  expect(kinds.map((event) => event?.remote)).toEqual([
    { kind: 'loopback' },
    { kind: 'host' },
    { kind: 'external' },
  ]);
});

test('D08 a snapshot shows what is open; listeners tell the direction of what is older than the hooks', () => {
  const { SNAPSHOT, PORT_ASKED } = RecordFlag;
  const open = (ms: number, cookie: number, fields: object, flags = 0) =>
    socket(SocketKind.OPEN, ms, cookie, { state: 1, ...fields }, SNAPSHOT | flags);
  const owner = { pid: 100, ownerStartNs: 5e9, comm: 'curl' };
  const events = harness.snapshot(
    50,
    open(50, 1, { ...owner, ...serverEnd }),
    open(50, 2, { ...owner, localPort: 41000 }),
    open(50, 3, { ...owner, localPort: 42000 }, PORT_ASKED),
    open(50, 4, { ...owner, direction: 1 }),
    open(50, 5, { state: 3 }),
    tcp.listening(50, 6, nginx, { localPort: 80, localAddress: ip4('0.0.0.0') }, SNAPSHOT),
  );
  const connections = connectionsOf(events).map(({ sockCookie, direction }) => [
    sockCookie,
    direction,
  ]);
  expect(connections.sort()).toEqual([
    [1, 'inbound'],
    [2, 'outbound'],
    [3, undefined],
    [4, 'outbound'],
  ]);
  expect(harness.enricher.synced).toBe(true);
});

test('a snapshot and the ring buffer that overlap are told once', () => {
  harness.snapshot(
    50,
    socket(SocketKind.OPEN, 50, 7, { state: 1, direction: 1, pid: 100, ownerStartNs: 5e9 }, 1),
  );
  const older = harness.send(tcp.connecting(40, 7, curl), tcp.established(41, 7, curl));
  expect(older).toEqual([]);
  expect(harness.enricher.counters.repeated).toBe(2);
  expect(storyOf(harness.send(tcp.closed(60, 7)))).toEqual(['CLOSE']);
  expect(harness.send(tcp.established(41, 7, curl))).toEqual([]);
});

test('tables stay within their bounds, and what is pushed out is closed', () => {
  harness = new Harness({ limits: { sockets: 2, held: 1 } });
  const events = connectionsOf(
    harness.send(
      tcp.connecting(1, 1, curl),
      tcp.connecting(2, 2, curl),
      tcp.connecting(3, 3, curl),
      tcp.closed(4, 1),
    ),
  );
  expect(events.map(({ sockCookie, state }) => [sockCookie, state])).toEqual([
    [1, 'SYN_SENT'],
    [2, 'SYN_SENT'],
    [1, 'CLOSE'],
    [3, 'SYN_SENT'],
  ]);
  expect(harness.enricher.gauges()).toMatchObject({ connections: 2, connectionsEvicted: 1 });
  harness = new Harness({ limits: { held: 1 } });
  expect(storyOf(harness.send(tcp.inbound(1, 1), tcp.inbound(2, 2)))).toEqual(['ESTABLISHED']);
  expect(harness.enricher.counters.heldOverflow).toBe(1);
});

test('each table tells how full it is, and what had to go', () => {
  harness = new Harness({ limits: { closed: 2, held: 3 } });
  harness.send(tcp.inbound(1, 10));
  for (const cookie of [1, 2, 3]) {
    harness.send(tcp.connecting(2, cookie, curl), tcp.closed(3, cookie));
  }
  expect(harness.enricher.tables()).toEqual(
    expect.arrayContaining([
      { table: 'sockets', entries: 1, limit: 500_000, evicted: 0 },
      { table: 'closed', entries: 2, limit: 2, evicted: 1 },
      { table: 'held', entries: 1, limit: 3, evicted: 0 },
    ]),
  );
});
