import { Direction, MarkKind, RecordFlag, SocketKind } from '@netstatd/records';
import { describeOn, Lab, waitFor } from '@netstatd/testkit';
import { Collected } from './collected.ts';
import type { Socket } from './collected.ts';

jest.setTimeout(60_000);

const HELD = 200;
const EXTRA = 20;

// D08: what was open before the collector started.
describeOn(['root', 'btf', 'bpf', 'netns', 'cgroup2', 'traffic'], 'a snapshot', () => {
  let lab: Lab;
  let collected: Collected | undefined;

  beforeEach(() => {
    lab = new Lab();
  });
  afterEach(async () => {
    collected?.capture.close();
    await lab.close();
  });

  it('finds every socket of several namespaces, with owner and direction', async () => {
    const [server, client] = [lab.netns(), lab.netns()];
    const listen = ['listen', '--hold', '--extra', String(EXTRA)];
    const listener = await lab.traffic('listener', listen, { netns: server });
    const { port, pid: listenerPid } = await listener.said('listening', ({ extra }) => !extra);
    const acceptorPid = await listener.go('acceptor');
    const to = ['--to', server.address4, '--port', String(port), '--count', String(HELD)];
    const hold = ['connect', ...to, '--close', 'hold'];
    const holder = await lab.traffic('client', hold, { netns: client });
    await holder.said('done');
    const { pid: clientPid } = await holder.said('hello');
    await listener.said('accepted', () => listener.all('accepted').length === HELD);
    // A listener whose backlog nobody empties: its connections have no descriptor.
    const backlog = await lab.traffic('listener', ['listen', '--no-acceptor'], { netns: server });
    const { port: unheard, pid: deafPid } = await backlog.said('listening');
    const knock = ['--to', server.address4, '--port', String(unheard), '--count', '3'];
    const knocker = ['connect', ...knock, '--close', 'hold'];
    await (await lab.traffic('client', knocker, { netns: client })).said('done');

    collected = new Collected([server, client]);
    const first = collected.snapshot();
    expect(first.marks).toEqual([MarkKind.SNAPSHOT_BEGIN, MarkKind.SNAPSHOT_END]);
    expect(first.processes).toBeGreaterThan(4);
    expect(first.all).toBeGreaterThanOrEqual(first.sockets.length);
    const flags = RecordFlag.SNAPSHOT | RecordFlag.OWNER;

    const listeners = first.sockets.filter(({ kind }) => kind === SocketKind.LISTENING);
    expect(listeners).toHaveLength(EXTRA + 2);
    for (const socket of listeners) {
      const pid = socket.localPort === unheard ? deafPid : listenerPid;
      expect(socket).toMatchObject({ pid, netns: server.inode, flags });
    }
    const open = first.sockets.filter(({ kind }) => kind === SocketKind.OPEN);
    expect(new Set(open.map(({ cookie }) => cookie)).size).toBe(open.length);
    const outbound = open.filter(({ direction }) => direction === Direction.OUTBOUND);
    expect(outbound).toHaveLength(HELD + 3);
    for (const socket of outbound.filter(({ remotePort }) => remotePort === port))
      expect(socket).toMatchObject({
        pid: clientPid,
        netns: client.inode,
        comm: 'traffic-client',
        flags,
      });
    const inbound = open.filter(({ direction }) => direction === Direction.INBOUND);
    expect(inbound).toHaveLength(HELD + 3);
    for (const socket of inbound) {
      const waiting = socket.localPort === unheard;
      expect(socket.netns).toBe(server.inode);
      expect(socket.pid).toBe(waiting ? 0 : acceptorPid);
      expect(socket.flags).toBe(waiting ? RecordFlag.SNAPSHOT : flags);
    }

    // Another one finds the same, those without a descriptor too.
    const cookies = (sockets: Socket[]) =>
      sockets.map(({ cookie }) => cookie).sort((a, b) => a - b);
    expect(cookies(collected.snapshot().sockets)).toEqual(cookies(first.sockets));

    // What the snapshot learnt stays with the sockets: their end names their owner.
    collected.start();
    const { sockets } = collected;
    await Promise.all([holder.stop(), listener.stop()]);
    const ends = () => sockets.filter(({ kind }) => kind === SocketKind.CLOSED);
    await waitFor('the ends of the held connections', () => ends().length >= 2 * HELD);
    const ofClient = ends().filter(({ netns }) => netns === client.inode);
    expect(ofClient).toHaveLength(HELD);
    for (const socket of ofClient)
      expect(socket).toMatchObject({ pid: clientPid, direction: Direction.OUTBOUND });
    for (const socket of ends().filter(({ netns }) => netns === server.inode))
      expect(socket).toMatchObject({ pid: acceptorPid, direction: Direction.INBOUND });

    const second = collected.snapshot();
    expect(second.sockets.filter(({ kind }) => kind === SocketKind.LISTENING)).toMatchObject([
      { pid: deafPid, localPort: unheard },
    ]);
  });
});
