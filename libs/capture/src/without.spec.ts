import { Direction, RecordFlag, SocketKind } from '@netstatd/records';
import { describeOn, Lab, waitFor } from '@netstatd/testkit';
import { captureKinds } from './kinds.ts';
import { Capture } from './capture.ts';
import { built, Collected } from './collected.ts';
import type { Socket } from './collected.ts';

jest.setTimeout(60_000);

const SENTINEL_PORT = 9;
const STAND_IN = 'syscall_exit';

/**
 * What each hook gives that nothing else does, of the traffic below: kind, owner, direction. Where none is named, another
 * hook gives it too, or it is of no weight here.
 */
const GIVES: Record<string, RegExp | undefined> = {
  tcp_state_nested: undefined,
  tcp_destroyed: undefined,
  tcp_accept4: undefined,
  tcp_accept: undefined,
  tcp_accept_ring: /^ACCEPTED uring-acceptor/,
  tcp_connect_exit: undefined,
  tcp_listen_exit: undefined,
  syscall_exit: undefined,
  udp_sock_create: /^(BOUND|UNBOUND|FLOW_)/,
  udp_post_bind4: /^(BOUND|UNBOUND)/,
  udp_post_bind6: undefined,
  udp_bind4: undefined,
  udp_bind6: undefined,
  udp_connect4: undefined,
  udp_connect6: undefined,
  udp_sendmsg4: undefined,
  udp_sendmsg6: undefined,
  udp_recvmsg4: undefined,
  udp_recvmsg6: undefined,
  udp_egress: /^FLOW_/,
  udp_ingress: /^FLOW_/,
  udp_sock_release: /^(UNBOUND|FLOW_CLOSED)/,
  udp_sweep: undefined,
  udp_snapshot: undefined,
  process_forked: undefined,
  process_executed: undefined,
  process_exited: undefined,
  snapshot_processes: undefined,
  cgroup_made: undefined,
  cgroup_removed: undefined,
  snapshot_files: /^(first|again) .* old-/,
  snapshot_namespace: /^first OPEN nobody/,
  snapshot_memories: undefined,
};

/** Flows end by being idle then. */
const LINGERS = /^again FLOW_OPENED (sender OUTBOUND|receiver INBOUND)$/;

const nameIn = (names: Record<string, number>, value: number) =>
  Object.entries(names).find(([, each]) => each === value)?.[0] ?? String(value);

const needs = ['root', 'btf', 'bpf', 'netns', 'cgroup2', 'traffic'] as const;

describeOn([...needs], 'without one of its hooks, the capture', () => {
  let lab: Lab;
  let collected: Collected | undefined;
  let complete: string[];

  beforeEach(() => {
    lab = new Lab();
  });
  afterEach(async () => {
    collected?.capture.close();
    collected = undefined;
    await lab.close();
  });

  /** Makes traffic and says of each record its kind, whom it names, and its direction. */
  async function told(without: string[]): Promise<string[]> {
    const netns = lab.netns();
    const roles = new Map<number, string>();
    const connect = async (name: string, port: number, ...flags: string[]) => {
      const to = ['connect', '--to', netns.address4, '--port', String(port), ...flags];
      const client = await lab.traffic('client', to, { netns });
      roles.set((await client.said('hello')).pid, name);
      await client.said('done');
      for (const { pid } of client.all('connected')) roles.set(pid, name);
      return client;
    };
    const listen = async (name: string, ...flags: string[]) => {
      const listener = await lab.traffic('listener', ['listen', ...flags], { netns });
      const { port, pid } = await listener.said('listening');
      roles.set(pid, `${name}-listener`).set(await listener.go('acceptor'), `${name}-acceptor`);
      return { listener, port };
    };

    const old = await listen('old', '--hold');
    await connect('old-client', old.port ?? 0, '--close', 'hold');
    await old.listener.said('accepted');
    const { sockets } = (collected = new Collected([netns], { without }));
    collected.start();
    const first = collected.snapshot().sockets;
    for (const api of ['accept4', 'accept', 'uring']) {
      const { listener, port } = await listen(api, '--api', api);
      const client = await connect(`${api}-client`, port ?? 0, '--count', '3', '--bytes', '1');
      await listener.said('accepted', () => listener.all('accepted').length === 3);
      await Promise.all([client.stop(), listener.stop()]);
    }
    await (await connect('unreachable', 80, '--to', '203.0.113.1')).stop();
    const receiver = await lab.traffic('receiver', ['receive', '--count', '1', '--echo'], {
      netns,
    });
    const { port, pid } = await receiver.said('ready');
    const sending = ['send', '--to', netns.address4, '--port', String(port), '--echo'];
    const sender = await lab.traffic('sender', sending, { netns });
    roles.set(pid, 'receiver').set((await sender.said('done')).pid, 'sender');
    await receiver.said('done');
    await sender.stop();
    await receiver.stop();
    const again = collected.snapshot().sockets;

    // What was recorded before its end lies before it in the ring.
    await connect('sentinel', SENTINEL_PORT);
    const isSentinel = ({ remotePort }: Socket) => remotePort === SENTINEL_PORT;
    const isOver = (socket: Socket) => isSentinel(socket) && socket.kind === SocketKind.CLOSED;
    await waitFor('the sentinel', () => sockets.some(isOver));
    const factOf = ({ kind, flags, pid: owner, direction }: Socket) =>
      [
        nameIn(SocketKind, kind),
        flags & RecordFlag.OWNER ? (roles.get(owner) ?? `stranger ${owner}`) : 'nobody',
        nameIn(Direction, direction),
      ].join(' ');
    return [
      ...first.map((socket) => `first ${factOf(socket)}`),
      ...sockets.filter((socket) => !isSentinel(socket)).map(factOf),
      ...again.map((socket) => `again ${factOf(socket)}`),
    ].sort();
  }

  it('has all of them to begin with, but what only stands in for others', async () => {
    complete = await told([]);
    const hooks = Object.values(collected?.capture.hooks ?? {});
    expect(hooks.map(({ name }) => name).sort()).toEqual(
      ['tcp_state', ...Object.keys(GIVES)].sort(),
    );
    const spare = hooks.filter(({ state }) => state !== 'attached');
    expect(spare.map(({ name, state }) => `${name}: ${state}`).sort()).toEqual(
      [STAND_IN, 'udp_sendmsg4', 'udp_sendmsg6'].map((name) => `${name}: spare`),
    );
    expect(complete.filter((fact) => fact.includes('stranger'))).toEqual([]);
  });

  it.each(Object.entries(GIVES))('is exact or silent: %s', async (name, gives) => {
    const facts = await told([name]);
    const { hooks = {} } = collected?.capture ?? {};
    expect(hooks[name]).toMatchObject({ state: 'off', reason: 'left out by --without' });
    const known = facts.filter((fact) => name !== 'udp_sock_release' || !LINGERS.test(fact));
    expect(new Set(known)).toEqual(new Set(complete.filter((fact) => !gives?.test(fact))));
  });

  it('has another in place of the hooks of single system calls', async () => {
    const without = ['tcp_accept4', 'tcp_accept', 'tcp_connect_exit', 'tcp_listen_exit'];
    expect(await told(without)).toEqual(complete);
    const { hooks = {} } = collected?.capture ?? {};
    for (const name of without) expect(hooks[name]?.standIn).toBe(STAND_IN);
    expect(captureKinds(hooks)).toMatchObject({
      accept: 'tp_btf/sys_exit',
      failedConnect: 'tp_btf/sys_exit',
      listen: 'tp_btf/inet_sock_set_state tp_btf/sys_exit',
    });
  });

  it('names nobody who accepts without these and what stands in for them', async () => {
    const facts = await told(['tcp_accept4', 'tcp_accept', STAND_IN]);
    expect(facts).toEqual(complete.filter((fact) => !fact.startsWith('ACCEPTED accept')));
    expect(captureKinds(collected?.capture.hooks ?? {}).accept).toBe('off: left out by --without');
  });

  it('cannot do without the states of TCP', () => {
    const open = () => Capture.open({ ...built, options: { without: ['tcp_state'] } });
    expect(open).toThrow(/tcp_state: left out by --without/);
  });

  it('refuses a name that no hook has', () => {
    const open = () => Capture.open({ ...built, options: { without: ['tcp_acept'] } });
    expect(open).toThrow('without: there is no hook named tcp_acept');
  });
});
