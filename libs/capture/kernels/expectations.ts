import { CloseSide, Direction, ProcessKind, RecordFlag, SocketKind } from '@netstatd/records';
import type { Socket } from '../src/collected.ts';
import type { Recorded, Story } from './story.ts';

const ECONNRESET = 104;
const COUNT = 5;
const BYTES = 500;
const REPLY = 1000;

const connections = [
  { name: 'active', address: '127.0.0.1', closes: CloseSide.LOCAL },
  { name: 'passive', address: '127.0.0.1', closes: CloseSide.REMOTE },
  { name: 'reset', address: '127.0.0.1', closes: CloseSide.LOCAL },
  { name: 'exit', address: '127.0.0.1', closes: CloseSide.LOCAL },
  { name: 'six', address: '::1', closes: CloseSide.REMOTE },
  { name: 'mapped', address: '127.0.0.1', closes: CloseSide.LOCAL },
  { name: 'uring', address: '127.0.0.1', closes: CloseSide.LOCAL },
];

const failures = [
  { name: 'refused4', address: '127.0.0.1', error: 111 },
  { name: 'refused6', address: '::1', error: 111 },
  { name: 'unreachable4', address: '203.0.113.1', error: 101 },
  { name: 'unreachable6', address: '2001:db8::1', error: 101 },
];

const datagrams = [
  { name: 'free4', address: '127.0.0.1' },
  { name: 'free6', address: '::1' },
  { name: 'connected4', address: '127.0.0.1' },
  { name: 'connected6', address: '::1' },
];

const outboundTo = (sockets: readonly Socket[], port: number) =>
  sockets.filter((socket) => socket.remotePort === port && socket.direction === Direction.OUTBOUND);
const inboundAt = (sockets: readonly Socket[], port: number) =>
  sockets.filter((socket) => socket.localPort === port && socket.direction === Direction.INBOUND);
const of = (sockets: readonly Socket[], kind: number) =>
  sockets.filter((socket) => socket.kind === kind);

/** What holds of every kernel: all that was done (guest/traffic) is told, and of whom it was. */
export function itKnowsTheOwners(look: () => { story: Story; recorded: Recorded }): void {
  let story: Story;
  let recorded: Recorded;

  beforeAll(() => {
    ({ story, recorded } = look());
  });

  const owner = (process: string, pid: number, comm: string) => ({
    pid,
    comm: comm.slice(0, 15),
    cgroupId: story.cgroup(process),
  });

  it.each(connections)('names the three processes of connections: $name', (made) => {
    const { name, address, closes } = made;
    const client = `${name}-client`;
    const listener = `${name}-listener`;
    const { port, pid: listenerPid } = story.one(listener, 'listening');
    const acceptor = story.one(listener, 'ready').pid;
    const pids = new Set(story.all(client, 'connected').map(({ pid }) => pid));
    const ports = new Set(story.all(client, 'connected').map(({ localPort }) => localPort));
    const { ring } = recorded;

    const listening = of(ring, SocketKind.LISTENING).filter(({ localPort }) => localPort === port);
    expect(listening).toMatchObject([owner(listener, listenerPid, 'traffic-listener')]);

    const bytesSent = name === 'exit' ? 0 : BYTES;
    const replied = closes === CloseSide.REMOTE ? REPLY : 0;
    for (const kind of [SocketKind.CONNECTING, SocketKind.ESTABLISHED, SocketKind.CLOSED]) {
      const outbound = of(outboundTo(ring, port), kind);
      expect(new Set(outbound.map(({ cookie }) => cookie)).size).toBe(COUNT);
      expect(new Set(outbound.map(({ pid }) => pid))).toEqual(pids);
      for (const socket of outbound) {
        const { pid } = socket;
        expect(socket).toMatchObject(owner(client, pid, 'traffic-client'));
        expect(socket.remoteAddress).toBe(address);
        if (kind !== SocketKind.CONNECTING) expect(ports).toContain(socket.localPort);
        if (kind === SocketKind.CLOSED)
          expect(socket).toMatchObject({
            bytesSent,
            bytesReceived: replied,
            closeSide: closes,
            error: name === 'reset' ? ECONNRESET : 0,
          });
      }
    }

    const inbound = inboundAt(ring, port);
    const accepted = of(inbound, SocketKind.ACCEPTED);
    expect(new Set(accepted.map(({ remotePort }) => remotePort))).toEqual(ports);
    for (const socket of accepted)
      expect(socket).toMatchObject(owner(listener, acceptor, 'traffic-acceptor'));
    const cookies = accepted.map(({ cookie }) => cookie).sort();
    for (const kind of [SocketKind.ESTABLISHED, SocketKind.CLOSED])
      expect(
        of(inbound, kind)
          .map(({ cookie }) => cookie)
          .sort(),
      ).toEqual(cookies);
    for (const socket of of(inbound, SocketKind.ESTABLISHED))
      expect(socket.flags & RecordFlag.OWNER).toBe(0);
    const side = closes === CloseSide.LOCAL ? CloseSide.REMOTE : CloseSide.LOCAL;
    for (const socket of of(inbound, SocketKind.CLOSED))
      expect(socket).toMatchObject({
        bytesReceived: bytesSent,
        bytesSent: replied,
        closeSide: side,
      });
  });

  it.each(failures)('names who failed to connect: $name', ({ name, address, error }) => {
    const closed = of(recorded.ring, SocketKind.CLOSED).filter((socket) => {
      return socket.remotePort === 9 && socket.error === error && socket.remoteAddress === address;
    });
    const { pid } = story.one(name, 'hello');
    const expected = owner(name, pid, 'traffic-client');
    expect(closed).toMatchObject([expected, expected]);
  });

  it.each(datagrams)('names both ends of datagrams: $name', ({ name, address }) => {
    const [sender, receiver] = [`${name}-sender`, `${name}-receiver`];
    const { port, pid } = story.one(receiver, 'ready');
    const { ring } = recorded;
    const receiving = owner(receiver, pid, 'traffic-receiver');
    const sending = owner(sender, story.one(sender, 'done').pid, 'traffic-sender');
    const { localPort } = story.one(sender, 'done');

    const bound = of(ring, SocketKind.BOUND).filter((socket) => socket.localPort === port);
    expect(bound).toMatchObject([receiving]);
    for (const kind of [SocketKind.FLOW_OPENED, SocketKind.FLOW_CLOSED]) {
      const counted = (bytesSent: number, bytesReceived: number) =>
        kind === SocketKind.FLOW_CLOSED ? { bytesSent, bytesReceived } : {};
      expect(of(outboundTo(ring, port), kind)).toMatchObject([
        { ...sending, localPort, remoteAddress: address, ...counted(300, 30) },
      ]);
      expect(of(inboundAt(ring, port), kind)).toMatchObject([
        { ...receiving, remotePort: localPort, remoteAddress: address, ...counted(30, 300) },
      ]);
    }
  });

  it('names the owners of what was open before', () => {
    const { first } = recorded;
    const { port, pid } = story.one('old-listener', 'listening');
    const acceptor = story.one('old-listener', 'ready').pid;
    const client = story.one('old-client', 'hello').pid;
    const at = (kind: number, bound: number) =>
      of(first, kind).filter(({ localPort }) => localPort === bound);
    expect(at(SocketKind.LISTENING, port)).toMatchObject([
      { localPort: port, ...owner('old-listener', pid, 'traffic-listener') },
    ]);
    const open = of(first, SocketKind.OPEN);
    expect(outboundTo(open, port)).toMatchObject([owner('old-client', client, 'traffic-client')]);
    expect(inboundAt(open, port)).toMatchObject([
      owner('old-listener', acceptor, 'traffic-acceptor'),
    ]);

    const receiver = story.one('old-receiver', 'ready');
    expect(at(SocketKind.BOUND, receiver.port)).toMatchObject([
      {
        localPort: receiver.port,
        ...owner('old-receiver', receiver.pid, 'traffic-receiver'),
      },
    ]);
    expect(of(outboundTo(first, receiver.port), SocketKind.FLOW_OPENED)).toMatchObject([
      owner('old-sender', story.one('old-sender', 'done').pid, 'traffic-sender'),
    ]);
  });

  it('names the owners of what is open when it looks again', () => {
    const open = of(recorded.last, SocketKind.OPEN);
    const { port } = story.one('new-listener', 'listening');
    const acceptor = story.one('new-listener', 'ready').pid;
    const client = story.one('new-client', 'hello').pid;
    expect(outboundTo(open, port)).toMatchObject([owner('new-client', client, 'traffic-client')]);
    expect(inboundAt(open, port)).toMatchObject([
      owner('new-listener', acceptor, 'traffic-acceptor'),
    ]);
  });

  it('knows the executables', () => {
    const exes = (kind: number, pid: number) =>
      recorded.processes.filter((p) => p.kind === kind && p.pid === pid).map(({ exe }) => exe);
    const old = story.one('old-client', 'hello').pid;
    expect(new Set(exes(ProcessKind.EXISTS, old))).toEqual(new Set(['/bin/traffic']));
    const client = story.one('new-client', 'hello').pid;
    expect(exes(ProcessKind.EXECUTED, client)).toEqual(['/bin/traffic']);
  });
}
