import { statSync } from 'node:fs';
import { CloseSide, Direction, RecordFlag, SocketKind } from '@netstatd/records';
import { describeOn, Lab, waitFor } from '@netstatd/testkit';
import { Collected } from './collected.ts';
import type { Socket } from './collected.ts';

jest.setTimeout(60_000);

const COUNT = 100;
const ECONNRESET = 104;

describeOn(['root', 'btf', 'bpf', 'netns', 'cgroup2', 'traffic'], 'owners of TCP sockets', () => {
  let lab: Lab;
  let collected: Collected | undefined;

  beforeEach(() => {
    lab = new Lab();
  });
  afterEach(async () => {
    collected?.capture.close();
    collected = undefined;
    await lab.close();
  });

  const of = (sockets: Socket[], kind: number, direction: number) =>
    sockets.filter((socket) => socket.kind === kind && socket.direction === direction);

  interface Case {
    mode: string;
    api: string;
    /** Who sent the first FIN or the reset, as the client sees it. */
    closes: number;
  }
  const cases: Case[] = [
    { mode: 'active', api: 'accept4', closes: CloseSide.LOCAL },
    { mode: 'passive', api: 'accept', closes: CloseSide.REMOTE },
    { mode: 'reset', api: 'accept4', closes: CloseSide.LOCAL },
    { mode: 'exit', api: 'accept4', closes: CloseSide.LOCAL },
    { mode: 'active', api: 'uring', closes: CloseSide.LOCAL },
  ];

  // Z01: listener, acceptor (forked before accept) and client are three processes in three namespaces.
  it.each(cases)(
    'are exact for three processes: $mode close, $api',
    async ({ mode, api, closes }) => {
      const [server, elsewhere, client] = [lab.netns(), lab.netns(), lab.netns()];
      const [acceptorGroup, clientGroup] = [lab.cgroup(), lab.cgroup()];
      const { sockets, capture } = (collected = new Collected([server, client]));
      collected.start();
      const reply = ['--netns', elsewhere.path, '--reply', '1000', '--api', api];
      const listener = await lab.traffic('listener', ['listen', ...reply], { netns: server });
      const { port, pid: listenerPid } = await listener.said('listening');
      const acceptorPid = await listener.go('acceptor', acceptorGroup);
      const uring = api === 'uring' ? ['--api', 'uring'] : [];
      const made = await lab.traffic(
        'client',
        [
          'connect',
          '--to',
          server.address4,
          '--port',
          String(port),
          '--count',
          String(COUNT),
        ].concat(['--close', mode, '--bytes', '500'], uring),
        { netns: client, cgroup: clientGroup },
      );
      expect(await made.said('done')).toMatchObject({ made: COUNT, failed: 0 });
      await listener.said('accepted', () => listener.all('accepted').length === COUNT);
      const closed = () => sockets.filter(({ kind }) => kind === SocketKind.CLOSED).length;
      await waitFor('both ends of all connections', () => closed() === 2 * COUNT);
      expect(capture.lost()).toBe(0);

      const listening = sockets.filter(({ kind }) => kind === SocketKind.LISTENING);
      expect(listening).toMatchObject([{ pid: listenerPid, localPort: port, netns: server.inode }]);

      const clientPids = new Set(made.all('connected').map(({ pid }) => pid));
      const clientPorts = new Set(made.all('connected').map(({ localPort }) => localPort));
      const clientGroupId = statSync(clientGroup.path).ino;
      for (const kind of [SocketKind.CONNECTING, SocketKind.ESTABLISHED, SocketKind.CLOSED]) {
        const outbound = of(sockets, kind, Direction.OUTBOUND);
        expect(new Set(outbound.map(({ cookie }) => cookie)).size).toBe(COUNT);
        for (const socket of outbound) {
          expect(socket.flags & RecordFlag.OWNER).toBeTruthy();
          expect(clientPids.has(socket.pid)).toBe(true);
          expect(socket).toMatchObject({
            comm: 'traffic-client',
            cgroupId: clientGroupId,
            netns: client.inode,
            remoteAddress: server.address4,
            localAddress: client.address4,
            remotePort: port,
          });
          if (kind !== SocketKind.CONNECTING) expect(clientPorts.has(socket.localPort)).toBe(true);
        }
      }

      const accepted = of(sockets, SocketKind.ACCEPTED, Direction.INBOUND);
      const acceptorGroupId = statSync(acceptorGroup.path).ino;
      expect(new Set(accepted.map(({ remotePort }) => remotePort))).toEqual(clientPorts);
      for (const socket of accepted)
        expect(socket).toMatchObject({
          pid: acceptorPid,
          comm: 'traffic-accepto',
          cgroupId: acceptorGroupId,
          netns: server.inode,
          localPort: port,
          localAddress: server.address4,
        });
      const established = of(sockets, SocketKind.ESTABLISHED, Direction.INBOUND);
      const cookies = new Set(established.map(({ cookie }) => cookie));
      expect(new Set(accepted.map(({ cookie }) => cookie))).toEqual(cookies);
      for (const socket of established) {
        expect(socket.flags & RecordFlag.OWNER).toBe(0);
        expect(socket.pid).toBe(0);
      }

      const other = closes === CloseSide.LOCAL ? CloseSide.REMOTE : CloseSide.LOCAL;
      const bytes = mode === 'exit' ? 0 : 500;
      for (const socket of of(sockets, SocketKind.CLOSED, Direction.OUTBOUND)) {
        expect(socket.closeSide).toBe(closes);
        expect(socket.bytesSent).toBe(bytes);
        expect(socket.error).toBe(mode === 'reset' ? ECONNRESET : 0);
        expect(socket.durationMicros).toBeGreaterThan(0);
      }
      for (const socket of of(sockets, SocketKind.CLOSED, Direction.INBOUND)) {
        expect(cookies.has(socket.cookie)).toBe(true);
        expect(socket.closeSide).toBe(other);
        expect(socket.bytesReceived).toBe(bytes);
      }
      if (mode === 'passive')
        for (const socket of of(sockets, SocketKind.CLOSED, Direction.INBOUND))
          expect(socket.bytesSent).toBe(1000);
    },
  );

  // Z04, A02: what fails before and after SYN_SENT is told once, with its reason and owner.
  it.each([
    { to: '127.0.0.1', error: 111, side: CloseSide.REMOTE },
    { to: '::1', error: 111, side: CloseSide.REMOTE },
    { to: '203.0.113.1', error: 101, side: CloseSide.UNKNOWN },
    { to: '2001:db8::1', error: 101, side: CloseSide.UNKNOWN },
    { to: '198.51.100.7', error: 113, side: CloseSide.UNKNOWN },
  ])('are named with the error $error of a connect to $to', async ({ to, error, side }) => {
    const netns = lab.netns();
    lab.inside(netns.name, 'ip', 'route', 'add', 'unreachable', '198.51.100.0/24');
    collected = new Collected([netns]);
    collected.start();
    const { sockets } = collected;
    const command = ['connect', '--to', to, '--port', '9', '--count', '3'];
    const client = await lab.traffic('client', command, { netns });
    await client.said('done', ({ failed }) => failed === 3);
    const closed = () => sockets.filter(({ kind }) => kind === SocketKind.CLOSED);
    await waitFor('three failures', () => closed().length >= 3);
    const { pid } = await client.said('hello');
    const expected = { error, pid, remoteAddress: to, remotePort: 9, closeSide: side };
    const fact = { ...expected, direction: Direction.OUTBOUND, comm: 'traffic-client' };
    expect(closed()).toMatchObject([fact, fact, fact]);
  });
});
