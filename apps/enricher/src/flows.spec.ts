import { Direction, RecordFlag, SocketKind } from '@netstatd/records';
import {
  connectionsOf,
  Harness,
  ip4,
  ownedBy,
  process,
  socket,
  storyOf,
} from './harness.fixture.ts';

const dig = { pid: 100, startNs: 5e9, comm: 'dig' };
const named = { pid: 200, startNs: 6e9, comm: 'named' };

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
  harness.send(process.executed(1, dig, '/usr/bin/dig'), process.executed(1, named, '/sbin/named'));
});

const flow = (kind: number, ms: number, cookie: number, fields: object, flags = 0) =>
  socket(kind, ms, cookie, { protocol: 17, direction: Direction.OUTBOUND, ...fields }, flags);

test('A02 a flow is told when it begins and when it ends, with its bytes', () => {
  const owner = ownedBy(dig);
  const [, opened, closed] = harness.send(
    flow(SocketKind.FLOW_OPENED, 10, 5, owner),
    flow(SocketKind.FLOW_CLOSED, 20, 5, {
      ...owner,
      ...{ bytesSent: 30, bytesReceived: 400, durationMicros: 9000 },
    }),
  );
  expect(opened).toMatchObject({ protocol: 'UDP', state: 'ESTABLISHED', pid: 100 });
  expect(closed).toMatchObject({
    ...{ state: 'CLOSE', bytesSent: 30, bytesReceived: 400, durationMicros: 9000 },
  });
  for (const field of ['retransmits', 'rttMicros', 'closeReason', 'handshakeMicros']) {
    expect(closed).not.toHaveProperty(field);
  }
});

test('one socket has a flow with each peer; a server’s flows belong to who bound the socket', () => {
  harness.send(
    socket(SocketKind.BOUND, 5, 9, {
      ...{ protocol: 17, localAddress: ip4('0.0.0.0'), localPort: 53, ...ownedBy(named) },
    }),
  );
  const inbound = { direction: Direction.INBOUND, localPort: 53 };
  const events = harness.send(
    flow(SocketKind.FLOW_OPENED, 10, 9, { ...inbound, remotePort: 1001 }),
    flow(SocketKind.FLOW_OPENED, 11, 9, { ...inbound, remotePort: 1002 }),
    flow(SocketKind.FLOW_OPENED, 12, 9, { ...inbound, remotePort: 1002 }),
    flow(SocketKind.FLOW_CLOSED, 13, 9, { ...inbound, remotePort: 1001 }),
  );
  expect(events.map(({ remotePort, state, pid }) => [remotePort, state, pid])).toEqual([
    [1001, 'ESTABLISHED', 200],
    [1002, 'ESTABLISHED', 200],
    [1001, 'CLOSE', 200],
  ]);
});

test('a snapshot brings flows back, dated by their first datagram, and ends those that are gone', () => {
  harness.send(flow(SocketKind.FLOW_OPENED, 10, 5, ownedBy(dig)));
  const shown = harness.snapshot(
    1000,
    flow(
      SocketKind.FLOW_OPENED,
      1000,
      6,
      { ...ownedBy(dig), durationMicros: 400_000 },
      RecordFlag.SNAPSHOT,
    ),
  );
  expect(connectionsOf(shown)).toEqual([
    expect.objectContaining({ sockCookie: 6, timestamp: '2023-11-14T22:13:20.600000Z' }),
  ]);
  const settled = harness.wait(2000);
  expect(settled).toEqual([expect.objectContaining({ sockCookie: 5, state: 'CLOSE' })]);
});

test('the end of a flow is told apart from that of an earlier one with the same peer', () => {
  const shown = { ...ownedBy(dig), durationMicros: 400_000 };
  harness.snapshot(1000, flow(SocketKind.FLOW_OPENED, 1000, 6, shown, RecordFlag.SNAPSHOT));
  const end = (ms: number, durationMicros: number) =>
    flow(SocketKind.FLOW_CLOSED, ms, 6, { ...ownedBy(dig), durationMicros });
  expect(harness.send(end(590, 300_000))).toEqual([]);
  expect(storyOf(harness.send(end(900, 300_000)))).toEqual(['CLOSE']);
});

test('flows stay within their bound', () => {
  harness = new Harness({ limits: { flows: 1 } });
  const events = harness.send(
    flow(SocketKind.FLOW_OPENED, 1, 1, {}),
    flow(SocketKind.FLOW_OPENED, 2, 2, {}),
  );
  expect(storyOf(events)).toEqual(['ESTABLISHED', 'CLOSE', 'ESTABLISHED']);
});
