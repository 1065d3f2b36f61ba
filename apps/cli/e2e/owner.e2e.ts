import type { ConnectionEvent } from '@netstatd/events';
import {
  byConnection,
  describeOn,
  Lab,
  startUp,
  traffic,
  waitFor,
  WHOLE_CHAIN,
  type Cgroup,
  type Netns,
  type Recorder,
  type Up,
} from '@netstatd/testkit';

const COUNT = 1000;

interface Exchange {
  close: 'active' | 'passive' | 'reset' | 'exit';
  family: 4 | 6;
  /** What the server binds to: `::` takes IPv4 too. */
  address: string;
  api?: 'uring';
}

/** Which end closes a connection, as each end sees it. */
const REASONS = {
  active: { client: ['local'], server: ['remote'] },
  passive: { client: ['remote'], server: ['local'] },
  exit: { client: ['local'], server: ['remote'] },
  // The end that resets may call it either; the other end only has the reset.
  reset: { client: ['local', 'reset'], server: ['reset'] },
};

describeOn(WHOLE_CHAIN, 'the owner of both ends of a connection (Z01)', () => {
  let lab: Lab;
  let up: Up;
  let recorder: Recorder;
  let [server, elsewhere, client]: Netns[] = [];
  let [listenerGroup, acceptorGroup, clientGroup]: Cgroup[] = [];

  beforeAll(async () => {
    lab = new Lab();
    [server, elsewhere, client] = [lab.netns(), lab.netns(), lab.netns()];
    [listenerGroup, acceptorGroup, clientGroup] = [lab.cgroup(), lab.cgroup(), lab.cgroup()];
    up = await startUp();
    recorder = await up.record();
  });
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => up.stop());
  afterAll(() => lab.close());

  /**
   * Three processes in three namespaces and cgroups; the acceptor is forked before the first
   * accept.
   */
  async function exchange({ close, family, address, api }: Exchange) {
    const more = api ? ['--api', api] : [];
    const listening = ['listen', '--address', address, '--netns', elsewhere!.path, ...more];
    const listener = await lab.traffic('listener', listening, {
      netns: server!,
      cgroup: listenerGroup!,
    });
    const { port = 0 } = await listener.said('listening');
    const acceptor = await listener.go('acceptor', acceptorGroup);
    await listener.said('ready');
    const to = ['--to', family === 4 ? server!.address4 : server!.address6, '--port', String(port)];
    const made = await lab.traffic(
      'client',
      ['connect', ...to, '--count', String(COUNT), '--close', close, ...more],
      { netns: client!, cgroup: clientGroup! },
    );
    expect(await made.said('done')).toMatchObject({ made: COUNT, failed: 0 });
    await waitFor('every accept', () => listener.all('accepted').length === COUNT);
    return { port, acceptor, truth: made.all('connected') };
  }

  /** The events of one end by connection, once all of them have closed. */
  async function ends(which: (event: ConnectionEvent) => boolean) {
    const all = () => recorder.connections((event) => event.protocol === 'TCP' && which(event));
    await waitFor(
      `${COUNT} closed connections`,
      () => all().filter(({ state }) => state === 'CLOSE').length >= COUNT,
    ).catch(() => undefined);
    // What comes after a connection's CLOSE is its late owner at most, and comes soon.
    const late = (events: ConnectionEvent[]) => events.some(({ pid }) => pid === undefined);
    await waitFor(
      'late owners',
      () =>
        !byConnection(all()).some(
          (events) => late(events) && !events.some(({ type }) => type === 'connection.accepted'),
        ),
    ).catch(() => undefined);
    return byConnection(all());
  }

  it.each<Exchange>([
    { close: 'active', family: 4, address: '0.0.0.0' },
    { close: 'passive', family: 6, address: '::' },
    { close: 'reset', family: 4, address: '::' },
    { close: 'exit', family: 4, address: '0.0.0.0' },
  ])('is right on every event: $close, IPv$family', expectOwners);

  describeOn(['uring'], 'through io_uring', () => {
    it.each<Exchange>([
      { close: 'active', family: 4, address: '0.0.0.0', api: 'uring' },
      { close: 'passive', family: 6, address: '::', api: 'uring' },
    ])('is right on every event: $close, IPv$family', expectOwners);
  });

  async function expectOwners(one: Exchange): Promise<void> {
    const { port, acceptor, truth } = await exchange(one);
    const [from, to] =
      one.family === 4
        ? [client!.address4, server!.address4]
        : [client!.address6, server!.address6];

    const clients = await ends(
      ({ netns, remotePort }) => netns === client!.inode && remotePort === port,
    );
    // What is lost is told; the test is of what is seen.
    expect(recorder.events.filter(({ type }) => type === 'stream.lagged')).toEqual([]);
    expect(clients.length).toBe(COUNT);
    const wrong: unknown[] = [];
    const expected = new Set(truth.map(({ pid, localPort }) => `${pid} ${localPort ?? 0}`));
    for (const events of clients) {
      const last = events.at(-1);
      const known = expected.delete(`${last?.pid ?? 0} ${last?.localPort ?? 0}`);
      const states = events.map(({ state }) => state).join();
      const right = events.every(
        (event) =>
          event.pid === last?.pid &&
          event.exe === traffic('client') &&
          event.comm === 'traffic-client' &&
          event.containerUid === clientGroup!.containerUid &&
          event.direction === 'outbound' &&
          event.family === one.family &&
          event.remoteIP === to &&
          (event.state === 'SYN_SENT' || event.localIP === from),
      );
      const why = REASONS[one.close].client.includes(last?.closeReason ?? '');
      if (!known || states !== 'SYN_SENT,ESTABLISHED,CLOSE' || !right || !why) wrong.push(events);
    }
    expect(wrong.slice(0, 2)).toEqual([]);

    const servers = await ends(
      ({ netns, localPort }) => netns === server!.inode && localPort === port,
    );
    expect(servers.length).toBe(COUNT);
    const peers = new Set(truth.map(({ localPort }) => localPort));
    for (const events of servers) {
      const owned = events.filter(({ pid }) => pid !== undefined);
      // An owner that was not known in time is told afterwards, for this very connection.
      const told = owned.length === events.length || owned.some((e) => e.type.endsWith('accepted'));
      const states = events
        .filter(({ type }) => type === 'connection.event')
        .map(({ state }) => state);
      const right = owned.every(
        (event) =>
          event.pid === acceptor &&
          event.exe === traffic('acceptor') &&
          event.containerUid === acceptorGroup!.containerUid &&
          event.direction === 'inbound' &&
          event.localIP === to &&
          event.remoteIP === from,
      );
      const known = peers.delete(events[0]?.remotePort);
      const why = REASONS[one.close].server.includes(
        events.find(({ state }) => state === 'CLOSE')?.closeReason ?? '',
      );
      if (!known || !told || states.join() !== 'ESTABLISHED,CLOSE' || !right || !why)
        wrong.push(events);
    }
    expect(wrong.slice(0, 2)).toEqual([]);
    expect(recorder.problems).toEqual([]);
  }

  it('names the listener on its port, and not the acceptor', async () => {
    const listener = await lab.traffic('listener', ['listen', '--no-acceptor'], {
      netns: server!,
      cgroup: listenerGroup!,
    });
    const { port, pid } = await listener.said('listening');
    const event = await recorder.waitFor(
      'port.listening',
      (each) =>
        each.type === 'port.listening' && each.netns === server!.inode && each.port === port,
    );
    expect(event).toMatchObject({
      pid,
      protocol: 'TCP',
      ip: '0.0.0.0',
      exe: traffic('listener'),
      containerUid: listenerGroup!.containerUid,
    });
    await listener.stop();
    await recorder.waitFor(
      'port.closed',
      (each) => each.type === 'port.closed' && each.netns === server!.inode && each.port === port,
    );
  });
});
