import type { ConnectionEvent } from '@netstatd/events';
import {
  describeOn,
  Lab,
  startUp,
  waitFor,
  WHOLE_CHAIN,
  type Netns,
  type Recorder,
  type Up,
} from '@netstatd/testkit';

const NOWHERE = { 4: '10.88.0.1', 6: 'fd88::1' };

describeOn(WHOLE_CHAIN, 'why a connection failed or ended (Z04)', () => {
  let lab: Lab;
  let up: Up;
  let recorder: Recorder;
  let [client, router, server]: Netns[] = [];

  beforeAll(async () => {
    lab = new Lab();
    [client, router, server] = [lab.netns(), lab.netns(), lab.netns()];
    // The router answers for what lies behind it: host unreachable.
    const forwarding = ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'];
    const eager = ['net.ipv4.icmp_ratelimit=0', 'net.ipv6.icmp.ratelimit=0'];
    lab.inside(router.name, 'sysctl', '-qw', ...forwarding, ...eager);
    lab.inside(router.name, 'ip', 'route', 'add', 'unreachable', NOWHERE[4]);
    lab.inside(router.name, 'ip', 'route', 'add', 'unreachable', NOWHERE[6]);
    lab.inside(client.name, 'ip', 'route', 'add', NOWHERE[4], 'via', router.address4);
    lab.inside(client.name, 'ip', 'route', 'add', NOWHERE[6], 'via', router.address6);
    // A black hole: the neighbour is known, and nobody has its address.
    for (const address of ['10.77.0.200', 'fd77::200']) {
      const neighbour = ['neigh', 'add', address, 'lladdr', '02:00:00:00:00:99', 'dev', 'eth0'];
      lab.inside(client.name, 'ip', ...neighbour, 'nud', 'permanent');
    }
    up = await startUp();
    recorder = await up.record();
  });
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => up.stop());
  afterAll(() => lab.close());

  const eventsOf = async (pid: number): Promise<ConnectionEvent[]> => {
    const all = () => recorder.connections((event) => event.pid === pid);
    await waitFor('the end of the connection', () => all().some(({ state }) => state === 'CLOSE'));
    return all();
  };

  it.each([
    ['refused', '10.77.0.3', 'ECONNREFUSED', []],
    ['refused', 'fd77::3', 'ECONNREFUSED', []],
    ['timeout', '10.77.0.200', 'ETIMEDOUT', ['--syn-retries', '1']],
    ['timeout', 'fd77::200', 'ETIMEDOUT', ['--user-timeout', '1500']],
    ['unreachable', NOWHERE[4], 'EHOSTUNREACH', []],
    ['unreachable', NOWHERE[6], 'ENETUNREACH', []],
  ])('a connect that fails is %s: %s', async (closeReason, address, error, more) => {
    const command = ['connect', '--to', address, '--port', '81', ...more];
    const failing = await lab.traffic('client', command, { netns: client! });
    const { pid } = await failing.said('failed', (truth) => truth.error === error);
    const events = await eventsOf(pid);
    const common = { remoteIP: address, remotePort: 81, direction: 'outbound', pid };
    expect(events).toMatchObject([
      { ...common, state: 'SYN_SENT' },
      { ...common, state: 'CLOSE', closeReason },
    ]);
    expect(events[1]).not.toHaveProperty('handshakeMicros');
    expect(events[1]).not.toHaveProperty('durationMicros');
    expect(recorder.problems).toEqual([]);
  });

  it('a connect without a route is unreachable', async () => {
    const command = ['connect', '--to', '10.99.0.1', '--port', '81'];
    const failing = await lab.traffic('client', command, { netns: client! });
    const { pid } = await failing.said('failed', ({ error }) => error === 'ENETUNREACH');
    expect((await eventsOf(pid)).at(-1)).toMatchObject({
      state: 'CLOSE',
      closeReason: 'unreachable',
      remoteIP: '10.99.0.1',
      remotePort: 81,
    });
  });

  it('a connection that is cut off is reset, and one that was made has its handshake time', async () => {
    const listener = await lab.traffic('listener', ['listen'], { netns: server! });
    const { port } = await listener.said('listening');
    const acceptor = await listener.go('acceptor');
    const command = ['connect', '--to', server!.address4, '--port', String(port)];
    const client1 = await lab.traffic('client', [...command, '--close', 'reset'], {
      netns: client!,
    });
    const { pid } = await client1.said('done').then(() => client1.said('connected'));
    const [cut] = (await eventsOf(acceptor)).filter(({ state }) => state === 'CLOSE');
    expect(cut).toMatchObject({ closeReason: 'reset', direction: 'inbound' });
    const mine = await eventsOf(pid);
    expect(mine[1]).toMatchObject({ state: 'ESTABLISHED' });
    expect(mine[1]?.handshakeMicros).toEqual(expect.any(Number));
    expect(recorder.problems).toEqual([]);
  });
});
