import { RecordFlag, SocketKind } from '@netstatd/records';
import { Harness, ip4, ownedBy, process, socket, storyOf, tcp } from './harness.fixture.ts';

const nginx = { pid: 200, startNs: 6e9, comm: 'nginx' };
const worker = { pid: 201, startNs: 7e9, comm: 'nginx' };
const any = { localAddress: ip4('0.0.0.0'), localPort: 80 };

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
  harness.send(process.executed(1, nginx, '/sbin/nginx'), process.forked(2, worker, nginx.pid));
});

const bound = (ms: number, cookie: number, flags = 0) =>
  socket(
    SocketKind.BOUND,
    ms,
    cookie,
    { ...any, protocol: 17, localPort: 53, ...ownedBy(nginx) },
    flags,
  );

test('A60 A61 a port is told when it opens and when it closes', () => {
  const events = harness.send(tcp.listening(3, 1, nginx, any), bound(4, 2));
  expect(events).toEqual([
    expect.objectContaining({ type: 'process.metainfo', isHostNetNS: true }),
    expect.objectContaining({
      ...{ type: 'port.listening', protocol: 'TCP', ip: '0.0.0.0', port: 80, pid: 200 },
      ...{ exe: '/sbin/nginx', isHostNetNS: true },
    }),
    expect.objectContaining({ type: 'port.listening', protocol: 'UDP', port: 53 }),
  ]);
  const closed = harness.send(
    tcp.unlistened(5, 1),
    socket(SocketKind.UNBOUND, 6, 2, { protocol: 17 }),
    tcp.unlistened(7, 1),
  );
  expect(closed.map(({ type, port, pid }) => [type, port, pid])).toEqual([
    ['port.closed', 80, 200],
    ['port.closed', 53, 200],
  ]);
});

test('sockets that share an endpoint are one row per process', () => {
  const events = harness.send(
    tcp.listening(3, 1, nginx, any),
    tcp.listening(4, 2, nginx, any),
    tcp.listening(5, 3, worker, any),
  );
  expect(storyOf(events)).toEqual([
    ...['process.metainfo', 'port.listening', 'process.metainfo', 'port.listening'],
  ]);
  expect([...harness.enricher.listeners.endpoints()]).toHaveLength(2);
  expect(harness.send(tcp.unlistened(6, 1))).toEqual([]);
  expect(harness.send(tcp.unlistened(7, 2))).toEqual([
    expect.objectContaining({ type: 'port.closed', pid: 200 }),
  ]);
});

test('the same port in another network namespace is another port', () => {
  harness.send(tcp.listening(3, 1, nginx, any));
  const [other] = harness.send(tcp.listening(4, 2, nginx, { ...any, netns: 4026532000 }));
  expect(other).toMatchObject({ netns: 4026532000, isHostNetNS: false });
});

test('a snapshot tells the owner of a port that had none', () => {
  harness.send(socket(SocketKind.LISTENING, 3, 1, any));
  const events = harness.snapshot(10, tcp.listening(10, 1, nginx, any, RecordFlag.SNAPSHOT));
  expect(events.map(({ type, pid }) => [type, pid])).toEqual([
    ['process.metainfo', 200],
    ['port.closed', undefined],
    ['port.listening', 200],
  ]);
});

test('a UDP port that the kernel chose is no listener in a snapshot, one that was asked for is', () => {
  const { SNAPSHOT, PORT_ASKED } = RecordFlag;
  expect(harness.snapshot(10, bound(10, 1, SNAPSHOT))).toEqual([]);
  expect(storyOf(harness.snapshot(20, bound(20, 1, SNAPSHOT | PORT_ASKED)))).toContain(
    'port.listening',
  );
});

test('what is over the bound is closed', () => {
  harness = new Harness({ limits: { listeners: 1 } });
  const at = (cookie: number) =>
    tcp.listening(3, cookie, nginx, { ...any, localPort: 80 + cookie });
  expect(storyOf(harness.send(at(1), at(2))).slice(1)).toEqual([
    'port.listening',
    'port.closed',
    'port.listening',
  ]);
});
