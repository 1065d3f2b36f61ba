import { RecordFlag, SocketKind } from '@netstatd/records';
import {
  cgroup,
  connectionsOf,
  Harness,
  ip4,
  ownedBy,
  process,
  socket,
  storyOf,
  tcp,
  type Event,
} from './harness.fixture.ts';
import { FakeProc, FakeRuntime, podContainer } from './machine.fixture.ts';

const ID = '8e1f3c5b7a9d2e4f6081a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7';
const OTHER = ID.replace('8e', '00');
const PATH = `/kubepods/burstable/pod0f3b8c1e-52d4-4a0e-9c68-5d1f0a7e2b31/${ID}`;
const web = { pid: 300, startNs: 8e9, comm: 'web', cgroupId: 4242 };
const names = { podName: 'shop-1', namespace: 'shop', containerName: 'app' };

let runtime: FakeRuntime;
let proc: FakeProc;
let harness: Harness;
beforeEach(() => {
  runtime = new FakeRuntime();
  proc = new FakeProc();
  harness = new Harness({ runtime, procRoot: proc.root, legacyCgroups: false });
});
afterEach(() => proc.close());

const made = () => cgroup.made(1, 4242, PATH);

/** What a client holds of a container in the end. */
const stateOf = (events: readonly Event[], id: string): Event | undefined =>
  events.findLast(({ type, containerUid }) => type === 'container.added' && containerUid === id);

test('B04 a container is announced when its runtime tells of it, with all that is known', () => {
  const [added] = harness.describe(podContainer(ID, 'shop-1', { state: 'created' }));
  expect(added).toMatchObject({
    ...{ type: 'container.added', containerUid: ID, runtime: 'containerd', image: 'busybox:1' },
    ...{ containerdNamespace: 'k8s.io', podUid: 'uid-of-shop-1', name: 'app', ...names },
    labels: { 'io.kubernetes.pod.name': 'shop-1' },
  });
  expect(added).not.toHaveProperty('pid');
  expect(harness.describe(podContainer(ID, 'shop-1', { state: 'created' }))).toEqual([]);
  const [again] = harness.describe(podContainer(ID, 'shop-1', { pid: 300 }));
  expect(again).toMatchObject({ type: 'container.added', pid: 300 });
  expect(harness.enricher.counters.containersChanged).toBe(1);
  expect(harness.undescribe(ID)).toEqual([
    expect.objectContaining({ type: 'container.deleted', containerUid: ID, podName: 'shop-1' }),
  ]);
  expect([harness.enricher.containers.size, harness.enricher.pods.size]).toEqual([0, 0]);
});

test('A10 a connection, its process and its port say whose they are', () => {
  harness.send(made());
  harness.describe(podContainer(ID, 'shop-1'));
  const events = harness.send(
    process.executed(2, web, '/web'),
    tcp.listening(3, 9, web, { localPort: 80 }),
    tcp.connecting(4, 7, web),
    tcp.established(5, 7, web),
    tcp.closed(6, 7),
  );
  expect(storyOf(events)).toEqual([
    ...['process.metainfo', 'port.listening', 'SYN_SENT', 'ESTABLISHED', 'CLOSE'],
  ]);
  for (const event of events) expect(event).toMatchObject({ containerUid: ID, ...names });
  expect(harness.enricher.counters).toMatchObject({ containersInTime: 1, containersLate: 0 });
  for (const filter of [{ pod: ['shop-1'] }, { namespace: ['shop'] }, { container: ['app'] }]) {
    const types = harness.state(filter).map(({ type }) => type);
    expect(types).toEqual(['host.info', 'container.added', 'process.metainfo', 'port.listening']);
  }
  expect(harness.state({ pod: ['shop-2'] }).map(({ type }) => type)).toEqual(['host.info']);
});

test('what the kernel names first waits for its description, and nothing else waits with it', () => {
  expect(harness.send(made())).toEqual([]);
  expect(runtime.asked).toEqual([ID]);
  expect(harness.send(tcp.connecting(2, 7, web), tcp.established(3, 7, web))).toEqual([]);
  const host = { pid: 1, startNs: 1e9, comm: 'init' };
  expect(storyOf(connectionsOf(harness.send(tcp.connecting(4, 8, host))))).toEqual(['SYN_SENT']);
  expect(harness.state().map(({ containerUid }) => containerUid)).not.toContain(ID);
  expect(harness.send(tcp.closed(5, 7))).toEqual([]);
  const events = harness.describe(podContainer(ID, 'shop-1'));
  expect(storyOf(events)).toEqual([
    ...['container.added', 'process.metainfo', 'SYN_SENT', 'ESTABLISHED', 'CLOSE'],
  ]);
  for (const event of events) expect(event).toMatchObject({ containerUid: ID, ...names });
  expect(harness.enricher.counters).toMatchObject({
    containersInTime: 1,
    containersUndescribed: 0,
  });
  expect(harness.enricher.gauges()).toMatchObject({ waitingRows: 0 });
});

test('a wait is over when its time is, and a description that comes later corrects what is open', () => {
  harness.send(made());
  const fields = { localPort: 80, localAddress: ip4('0.0.0.0') };
  harness.send(
    tcp.listening(2, 9, web, fields),
    tcp.connecting(3, 7, web),
    tcp.connecting(3, 8, web),
  );
  const sent = harness.wait(220);
  expect(storyOf(sent)).toEqual([
    ...['container.added', 'process.metainfo', 'port.listening', 'SYN_SENT', 'SYN_SENT'],
  ]);
  for (const event of sent) expect(event).not.toHaveProperty('podName');
  expect(storyOf(harness.send(tcp.established(4, 7, web), tcp.closed(5, 8)))).toEqual([
    'ESTABLISHED',
    'CLOSE',
  ]);
  expect(storyOf(harness.describe(podContainer(ID, 'shop-1')))).toEqual(['container.added']);
  const corrected = harness.wait(20);
  expect(storyOf(corrected)).toEqual(['process.metainfo', 'port.listening', 'ESTABLISHED']);
  for (const event of corrected) expect(event).toMatchObject({ containerUid: ID, ...names });
  expect(corrected[2]).toMatchObject({ sockCookie: 7, timestamp: '2023-11-14T22:13:20.004000Z' });
  expect(harness.wait(500)).toEqual([]);
  expect(harness.enricher.counters).toMatchObject({
    ...{ containersInTime: 0, containersLate: 1, containersUndescribed: 1, correctedRows: 3 },
  });
});

test('nothing waits for a container that no runtime knows, nor when none is followed', () => {
  harness.send(made());
  expect(harness.send(tcp.connecting(2, 7, web))).toEqual([]);
  const events = harness.during(() => harness.enricher.unknownContainer(ID));
  expect(storyOf(events)).toEqual(['container.added', 'process.metainfo', 'SYN_SENT']);
  expect(storyOf(harness.send(tcp.established(3, 7, web)))).toEqual(['ESTABLISHED']);
  runtime.following = false;
  const other = { ...web, pid: 301, cgroupId: 4243 };
  const others = harness.send(
    cgroup.made(4, 4243, PATH.replace(ID, OTHER)),
    tcp.connecting(5, 8, other),
  );
  expect(storyOf(others)).toEqual(['container.added', 'process.metainfo', 'SYN_SENT']);
  expect(runtime.asked).toEqual([ID, ID]);
});

test('too many rows do not wait: those of the oldest container leave', () => {
  harness = new Harness({ runtime, limits: { waitingRows: 3 } });
  const other = { ...web, pid: 301, cgroupId: 4243 };
  harness.send(made(), cgroup.made(1, 4243, PATH.replace(ID, OTHER)));
  expect(harness.send(tcp.connecting(2, 7, web))).toEqual([]);
  const events = harness.send(tcp.connecting(2, 8, other));
  expect(events.map(({ containerUid }) => containerUid)).toEqual([ID, ID, ID]);
  expect(harness.enricher.counters.containerWaitOverflow).toBe(1);
  expect(harness.enricher.gauges()).toMatchObject({ waitingRows: 2 });
});

test('who accepts a connection and waits is not in the state yet, but the connection is', () => {
  harness = new Harness({ runtime, acceptWaitMs: 0 });
  harness.send(made(), tcp.inbound(2, 7));
  harness.wait(60);
  expect(harness.send(tcp.accepted(3, 7, web))).toEqual([]);
  const [shown, ...more] = connectionsOf(harness.state());
  expect(more).toEqual([]);
  expect(shown).toMatchObject({ type: 'connection.event', sockCookie: 7 });
  expect(shown).not.toHaveProperty('pid');
  expect(shown).not.toHaveProperty('containerUid');
  const events = harness.describe(podContainer(ID, 'shop-1'));
  expect(storyOf(events)).toEqual(['container.added', 'process.metainfo', 'accepted']);
  expect(harness.state().at(-1)).toMatchObject({ pid: 300, containerUid: ID, ...names });
});

test('A12 a container that is over before its runtime tells of it is named all the same', () => {
  const events = harness.send(
    made(),
    tcp.connecting(2, 7, web),
    tcp.closed(3, 7),
    process.exited(4, web),
    cgroup.removed(5, 4242, PATH),
  );
  expect(events).toEqual([]);
  const told = harness.describe(podContainer(ID, 'shop-1', { state: 'exited' }));
  expect(storyOf(told)).toEqual(['container.added', 'process.metainfo', 'SYN_SENT', 'CLOSE']);
  for (const event of told) expect(event).toMatchObject({ podName: 'shop-1' });
  expect(storyOf(harness.undescribe(ID))).toEqual(['container.deleted']);
});

test('one that no runtime describes is gone with its cgroup, after what waited for it', () => {
  harness.send(made(), tcp.connecting(2, 7, web), tcp.closed(3, 7));
  expect(harness.send(cgroup.removed(5, 4242, PATH))).toEqual([]);
  expect(storyOf(harness.wait(220))).toEqual([
    ...['container.added', 'process.metainfo', 'SYN_SENT', 'CLOSE', 'container.deleted'],
  ]);
  expect(harness.enricher.containers.size).toBe(0);
});

test('a container that has stopped stays, and is deleted when it is removed and its last socket is closed', () => {
  harness.send(made());
  harness.describe(podContainer(ID, 'shop-1', { pid: 300 }));
  harness.send(tcp.connecting(2, 7, web));
  expect(harness.send(cgroup.removed(5, 4242, PATH))).toEqual([]);
  const [stopped] = harness.describe(podContainer(ID, 'shop-1', { state: 'exited' }));
  expect(stopped).not.toHaveProperty('pid');
  expect(harness.undescribe(ID)).toEqual([]);
  expect(harness.send(tcp.closed(6, 7)).at(0)).toMatchObject({ state: 'CLOSE', ...names });
  expect(harness.rows.at(-1)?.[0]).toBe('container.deleted');
});

test('what happened before a removal is read first', () => {
  harness.send(made());
  harness.describe(podContainer(ID, 'shop-1'));
  harness.during(() => harness.enricher.undescribe(ID, 50e6));
  expect(storyOf(harness.send(tcp.connecting(40, 7, web), tcp.closed(45, 7)))).toEqual([
    ...['process.metainfo', 'SYN_SENT', 'CLOSE'],
  ]);
  expect(storyOf(harness.wait(200))).toEqual(['container.deleted']);
  harness.describe(podContainer(OTHER, 'shop-2'));
  harness.during(() => harness.enricher.undescribe(OTHER, Infinity));
  expect(storyOf(harness.wait(10_020))).toEqual(['container.deleted']);
});

test('A14 two containers of one pod are never mixed', () => {
  harness.send(made(), cgroup.made(1, 4243, PATH.replace(ID, OTHER)));
  harness.describe(podContainer(ID, 'shop-1', { containerName: 'app' }));
  harness.describe(podContainer(OTHER, 'shop-1', { containerName: 'log' }));
  const other = { ...web, pid: 301, cgroupId: 4243 };
  const events = connectionsOf(
    harness.send(...[1, 2, 3, 4].map((at) => tcp.connecting(2, at, at % 2 ? web : other))),
  );
  expect(events.map(({ containerName, containerUid }) => [containerName, containerUid])).toEqual([
    ...[
      ['app', ID],
      ['log', OTHER],
      ['app', ID],
      ['log', OTHER],
    ],
  ]);
});

describe('containers whose ids their makers chose', () => {
  const cgroupsPath = '/default/web';
  const container = {
    id: 'web',
    runtime: 'containerd',
    containerdNamespace: 'default',
    labels: {},
    sandbox: false,
    cgroupsPath,
  } as const;

  test('A11 are known by the cgroup that they asked for, and what is below it', () => {
    harness.describe({ ...container, state: 'created' });
    harness.send(cgroup.made(1, 4242, '/default/web'), cgroup.made(1, 4243, '/default/web/init'));
    harness.send(cgroup.made(1, 4244, '/default/website'));
    const at = (cgroupId: number, pid: number) => ({ ...web, pid, cgroupId });
    const events = harness.send(
      tcp.connecting(2, 7, at(4242, 300)),
      tcp.connecting(2, 8, at(4243, 301)),
      tcp.connecting(2, 9, at(4244, 302)),
    );
    const owners = connectionsOf(events).map(({ containerUid }) => containerUid);
    expect(owners).toEqual(['web', 'web', undefined]);
  });

  test('that ran before they were told of are corrected', () => {
    proc.add(300, { startNs: 8e9, cgroup: '0::/machine/default/web\n' });
    harness.send(cgroup.made(1, 4242, '/machine/default/web'), tcp.connecting(2, 7, web));
    expect(connectionsOf(harness.state())[0]).not.toHaveProperty('containerUid');
    harness.describe({ ...container, state: 'running', pid: 300 });
    const events = harness.wait(20);
    expect(storyOf(events)).toEqual(['process.metainfo', 'SYN_SENT']);
    for (const event of events) expect(event).toHaveProperty('containerUid', 'web');
    expect(harness.send(tcp.closed(3, 7))[0]).toHaveProperty('containerUid', 'web');
  });

  test('with cgroup v1 are known by their first process and its children, also when those are gone', () => {
    harness = new Harness({ runtime, procRoot: proc.root, legacyCgroups: true });
    proc.add(300, { startNs: 8e9, cgroup: '4:memory:/default/web\n0::/\n' });
    harness.describe({ ...container, state: 'running', pid: 300 });
    proc.remove(300);
    const init = { ...web, cgroupId: 1 };
    const child = { ...init, pid: 301, startNs: 8.5e9 };
    const grandchild = { ...init, pid: 302, startNs: 8.6e9 };
    const events = harness.send(
      process.forked(2, init, 1),
      process.forked(3, child, 300),
      process.forked(4, grandchild, 301),
      process.executed(5, grandchild, '/bin/nc'),
      tcp.connecting(6, 7, grandchild),
      tcp.connecting(6, 8, { ...init, pid: 303 }),
    );
    const owners = connectionsOf(events).map(({ containerUid }) => containerUid);
    expect(owners).toEqual(['web', undefined]);
  });

  test('a pid that was given to another process is not believed', () => {
    proc.add(300, { startNs: 8e9, cgroup: '0::/system.slice/sshd.service\n', netns: 1 });
    harness.send(cgroup.made(1, 4242, '/system.slice/sshd.service'));
    const [added] = harness.describe({
      ...container,
      state: 'running',
      pid: 300,
      hostNetwork: true,
    });
    expect(added).toMatchObject({ usesHostNetwork: true, podIPs: [] });
    const [event] = connectionsOf(harness.send(tcp.connecting(2, 7, web)));
    expect(event).not.toHaveProperty('containerUid');
    expect(harness.enricher.counters.foreignPids).toBe(1);
  });

  test('that claim the cgroup of all services, or another’s, have none of it', () => {
    const running = { ...container, state: 'running' } as const;
    harness.describe({ ...running, cgroupsPath: '/system.slice' });
    harness.describe({ ...running, id: 'one', cgroupsPath: '/shared' });
    harness.describe({ ...running, id: 'two', cgroupsPath: '/shared' });
    harness.send(
      cgroup.made(1, 4242, '/system.slice/sshd.service'),
      cgroup.made(1, 4243, '/shared'),
    );
    const sent = () =>
      connectionsOf(
        harness.send(
          tcp.connecting(2, 7, web),
          tcp.connecting(2, 8, { ...web, pid: 301, cgroupId: 4243 }),
          tcp.closed(3, 7),
          tcp.closed(3, 8),
        ),
      );
    for (const event of sent()) expect(event).not.toHaveProperty('containerUid');
    harness.undescribe('one');
    harness.send(process.executed(4, { ...web, pid: 301, startNs: 9e9, cgroupId: 4243 }, '/web'));
    const later = { ...web, pid: 302, startNs: 9e9, cgroupId: 4243 };
    expect(connectionsOf(harness.send(tcp.connecting(5, 9, later)))[0]).toMatchObject({
      containerUid: 'two',
    });
  });
});

describe('addresses', () => {
  const PEER = { remoteAddress: ip4('10.244.1.7') };
  const inPod = (id: string, pid: number, addresses: string[], netns = 77) => {
    proc.add(pid, { startNs: 8e9, cgroup: `0::${PATH.replace(ID, id)}\n`, netns, addresses });
    return podContainer(id, 'shop-1', { pid });
  };
  const remoteOf = (cookie: number) =>
    connectionsOf(harness.send(tcp.connecting(9, cookie, web, PEER)))[0]?.remote;
  const pod = { kind: 'pod', node: 'node', namespace: 'shop', podName: 'shop-1' };

  test('A21 of a pod are those of its network namespace, and lead back to it', () => {
    expect(remoteOf(1)).toEqual({ kind: 'external' });
    const [added] = harness.describe(inPod(ID, 300, ['10.244.1.7', 'fd00::7']));
    expect(added).toMatchObject({ usesHostNetwork: false, podIPs: ['10.244.1.7'] });
    expect(remoteOf(2)).toEqual({ ...pod, containerUid: ID });
    const sandbox = podContainer(OTHER, 'shop-1', {
      ...{ sandbox: true, podIPs: ['10.244.1.7', 'fd00::7'] },
    });
    const events = harness.describe(sandbox);
    const ips = events.map(({ containerUid, podIPs }) => [containerUid, podIPs]);
    expect(ips).toContainEqual([ID, ['10.244.1.7', 'fd00::7']]);
    expect(ips).toContainEqual([OTHER, ['10.244.1.7', 'fd00::7']]);
    expect(stateOf(events, OTHER)).not.toHaveProperty('containerName');
    expect(remoteOf(3)).toEqual({ ...pod, containerUid: ID });
    harness.describe(inPod(`${ID.slice(2)}ff`, 301, ['10.244.1.7']));
    expect(remoteOf(4)).toEqual(pod);
  });

  test('that two pods have, or that no pod has any more, lead nowhere', () => {
    harness.describe(inPod(ID, 300, ['10.244.1.7']));
    const second = podContainer(OTHER, 'shop-2', { podIPs: ['10.244.1.7'] });
    harness.describe(second);
    expect(remoteOf(1)).toEqual({ kind: 'external' });
    harness.undescribe(OTHER);
    expect(remoteOf(2)).toMatchObject({ podName: 'shop-1' });
    harness.describe(podContainer(ID, 'shop-1', { state: 'exited' }));
    expect(remoteOf(3)).toEqual({ kind: 'external' });
  });

  test('C04 of the host are never a pod’s', () => {
    const HOST = 4026531833;
    const [added] = harness.describe(inPod(ID, 300, ['10.0.0.9', '10.244.1.7'], HOST));
    expect(added).toMatchObject({ usesHostNetwork: true, podIPs: [] });
    harness.describe(podContainer(OTHER, 'shop-2', { podIPs: ['10.0.0.9'] }));
    expect(remoteOf(1)).toEqual({ kind: 'external' });
    const host = { remoteAddress: ip4('10.0.0.9') };
    const [event] = connectionsOf(harness.send(tcp.connecting(9, 2, web, host)));
    expect(event).toMatchObject({ remote: { kind: 'host' } });
  });

  test('are read again now and then, as long as the process is the container’s', () => {
    harness.describe(inPod(ID, 300, []));
    const refresh = () => harness.during(() => harness.enricher.refreshPods());
    expect(refresh()).toEqual([]);
    proc.remove(300);
    inPod(ID, 300, ['10.244.1.7']);
    expect(refresh()).toEqual([expect.objectContaining({ podIPs: ['10.244.1.7'] })]);
    expect(remoteOf(1)).toMatchObject({ podName: 'shop-1' });
  });
});

test('a flow waits like a connection', () => {
  harness.send(made());
  const fields = { protocol: 17, ...ownedBy(web) };
  expect(harness.send(socket(SocketKind.FLOW_OPENED, 2, 7, fields))).toEqual([]);
  expect(connectionsOf(harness.state())).toEqual([]);
  expect(storyOf(harness.describe(podContainer(ID, 'shop-1')))).toEqual([
    ...['container.added', 'process.metainfo', 'ESTABLISHED'],
  ]);
});

test('there is room for so many containers; the oldest is told to be gone', () => {
  harness = new Harness({ runtime, limits: { containers: 2 } });
  const ids = [1, 2, 3].map((at) => ID.slice(1) + String(at));
  const events = ids.flatMap((id) => harness.describe(podContainer(id, 'shop-1')));
  expect(events.map(({ type, containerUid }) => [type, containerUid])).toEqual([
    ['container.added', ids[0]],
    ['container.added', ids[1]],
    ['container.deleted', ids[0]],
    ['container.added', ids[2]],
  ]);
});

test('labels beyond the bound are left out', () => {
  const label = 'x'.repeat(1024);
  const labels = Object.fromEntries(Array.from({ length: 128 }, (_, at) => [`l${at}`, label]));
  const [added] = harness.describe(podContainer(ID, 'shop-1', { labels }));
  expect(Object.keys(added?.labels as object)).toHaveLength(63);
});

test('a snapshot of sockets names containers like any record', () => {
  const shown = { state: 1, direction: 1, ...ownedBy(web) };
  harness.describe(podContainer(ID, 'shop-1'));
  const events = harness.snapshot(
    5,
    made(),
    socket(SocketKind.OPEN, 5, 1, shown, RecordFlag.SNAPSHOT),
  );
  expect(connectionsOf(events)[0]).toMatchObject({ containerUid: ID, ...names });
});
