import type { ContainerEvent, NetstatdEvent, PortEvent, ProcessMetainfo } from '@netstatd/events';
import {
  acting,
  Actor,
  addressesIn,
  CONTAINERS,
  describeOn,
  Door,
  establishedPorts,
  isOfContainer,
  misnamed,
  netnsOf,
  sortedPorts,
  startUp,
  waitFor,
  WHOLE_CHAIN,
  type OwnPorts,
  type Recorder,
  type Up,
} from '@netstatd/testkit';
import { containerId, TestContainerd, type PodRequest } from '@netstatd/testkit/containerd';

const uid = (number: number) => `abcdef01-1111-2222-3333-${number.toString().padStart(12, '0')}`;

/** Two pods have one name, in two namespaces. */
const PODS: (Omit<PodRequest, 'uid' | 'containers'> & { containers: string[] })[] = [
  { name: 'cart', namespace: 'shop', containers: ['web', 'log'] },
  { name: 'db', namespace: 'shop', containers: ['main'] },
  { name: 'db', namespace: 'bank', containers: ['main'] },
  { name: 'edge', namespace: 'bank', containers: ['proxy'], hostNetwork: true },
  { name: 'probe', namespace: 'bank', containers: ['proxy'], hostNetwork: true },
  { name: 'late', namespace: 'shop', containers: ['app', 'side'] },
];

/** As the systemd driver writes it. */
const slice = (id: string) =>
  `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid(99).replaceAll('-', '_')}.slice/cri-containerd-${id}.scope`;

describeOn([...WHOLE_CHAIN, ...CONTAINERS], 'containers and pods (A10–A16)', () => {
  let ctd: TestContainerd;
  let up: Up;
  let recorder: Recorder;
  const actors: Actor[] = [];
  const pods = new Map<string, string>();

  beforeAll(async () => {
    ctd = await TestContainerd.start();
    up = await startUp({ env: { CONTAINERD_SOCKET: ctd.socket } });
    recorder = await up.record();
  });
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => up.stop());
  afterAll(() => ctd.close());
  afterAll(() => {
    for (const { door } of actors) door.close();
  });

  async function startPod(number: number): Promise<void> {
    const { name, namespace, containers, hostNetwork = false } = PODS[number]!;
    const doors = await Promise.all(containers.map(() => Door.open()));
    const nameOf = (index: number) => `${namespace}-${name}-${containers[index]!}`;
    const commands = containers.map((container, index) => [
      container,
      acting(nameOf(index), ctd.gateway, doors[index]!),
    ]);
    const { sandboxId, containers: made } = await ctd.pod({
      ...{ name, namespace, uid: uid(number), hostNetwork },
      containers: Object.fromEntries(commands) as PodRequest['containers'],
    });
    pods.set(`${namespace}/${name}`, sandboxId);
    for (const [index, containerName] of containers.entries()) {
      const containerUid = made[containerName]!;
      const task = (await ctd.tasks('k8s.io')).get(containerUid)!;
      const [first] = addressesIn(`/proc/${task.pid}/ns/net`);
      actors.push(
        new Actor({
          ...{ name: nameOf(index), containerUid, containerdNamespace: 'k8s.io' },
          names: { podName: name, namespace, containerName },
          ...{ door: doors[index]!, ip: hostNetwork ? ctd.gateway : first! },
        }),
      );
    }
  }

  /** Of a pod's network: a container that ctr starts shares it without being of the pod. */
  async function startByCtr(
    namespace: string,
    id: string,
    more: { cgroup?: string; of?: string },
  ): Promise<void> {
    const door = await Door.open();
    const host = more.of === undefined ? undefined : actors.find(({ name }) => name === more.of)!;
    const pid = host && (await ctd.tasks(host.containerdNamespace)).get(host.containerUid)!.pid;
    await ctd.run({
      ...{ namespace, id, args: acting(id, ctd.gateway, door) },
      ...(more.cgroup !== undefined && { cgroup: more.cgroup }),
      ...(pid === undefined ? { hostNetwork: true } : { netns: `/proc/${pid}/ns/net` }),
    });
    actors.push(
      new Actor({
        ...{ name: id, containerUid: id, containerdNamespace: namespace, names: {}, door },
        ip: host?.ip ?? ctd.gateway,
      }),
    );
  }

  it('are named on every event, by what is true of each', async () => {
    await startPod(0);
    const ids = Array.from({ length: 10 }, containerId);
    await Promise.all([
      startPod(1),
      startPod(2),
      startByCtr('default', 'by.name', {}),
      startByCtr('default', ids[0]!, {}),
    ]);
    await Promise.all([
      startPod(3),
      startPod(4),
      startByCtr('default', ids[1]!, { of: 'shop-cart-web' }),
      startByCtr('other', 'web', { of: 'shop-db-main' }),
    ]);
    await Promise.all([
      startByCtr('other', ids[2]!, { cgroup: slice(ids[2]!) }),
      startByCtr('other', ids[3]!, { cgroup: slice(ids[3]!), of: 'shop-cart-web' }),
      startByCtr('other', ids[4]!, {}),
    ]);
    // The namespace is made now.
    await Promise.all([
      startPod(5),
      ...ids.slice(5, 8).map((id) => startByCtr('made-later', id, {})),
      startByCtr('made-later', ids[8]!, { of: 'bank-db-main' }),
      startByCtr('made-later', ids[9]!, { cgroup: slice(ids[9]!) }),
    ]);
    expect(actors).toHaveLength(20);
    await waitFor('connections and datagrams of all', () =>
      actors.every(({ door }) => door.accepted.length >= 20 && door.senders.size >= 4),
    );

    const inbound = new Map<Actor, { ports: OwnPorts; peers: OwnPorts[] }>();
    for (const actor of actors) {
      const ports = await actor.ports(ctd);
      inbound.set(actor, { ports, peers: await actor.probe(ports, 5) });
    }
    await expectState(inbound);
    await stopAll();

    for (const actor of actors) {
      const { door, name } = actor;
      const seen = () => ({
        name,
        tcp: establishedPorts(recorder, actor, 'TCP'),
        udp: establishedPorts(recorder, actor, 'UDP'),
      });
      const made = { name, tcp: sortedPorts(door.accepted), udp: sortedPorts(door.senders) };
      await waitFor('what was made', () => JSON.stringify(seen()) === JSON.stringify(made)).catch(
        () => expect(seen()).toEqual(made),
      );
      expect(misnamed(recorder, actor).slice(0, 3)).toEqual([]);
      expectInbound(actor, inbound.get(actor)!);
      expectOrder(actor.containerUid);
    }
    expectHostEnds();
    for (const sandbox of pods.values()) expectOrder(sandbox);
    const known = new Set([...actors.map(({ containerUid }) => containerUid), ...pods.values()]);
    // Of other things that run on this machine, only the cgroups are known.
    const strangers = recorder.events.filter(
      (event) =>
        event.type === 'container.added' &&
        event.containerdNamespace !== undefined &&
        !known.has(event.containerUid),
    );
    expect(strangers).toEqual([]);
    expect(recorder.problems).toEqual([]);
  });

  /** What REST tells while all of them run. */
  async function expectState(inbound: Map<Actor, { ports: OwnPorts }>): Promise<void> {
    const [containers, ports, processes, addresses] = await Promise.all([
      list<ContainerEvent>('/api/containers').then((all) =>
        all.filter(({ containerdNamespace }) => containerdNamespace !== undefined),
      ),
      list<PortEvent>('/api/ports?limit=10000'),
      list<ProcessMetainfo>('/api/processes?limit=10000'),
      list<{ ip: string; kind?: string; containerUids?: string[] }>('/api/ips'),
    ]);
    expect(containers.map(({ containerUid }) => containerUid).sort()).toEqual(
      [...actors.map(({ containerUid }) => containerUid), ...pods.values()].sort(),
    );
    for (const [{ containerUid, names, containerdNamespace, ip }, { ports: own }] of inbound) {
      const task = (await ctd.tasks(containerdNamespace)).get(containerUid)!;
      const netns = netnsOf(task.pid);
      const usesHostNetwork = netns === netnsOf(process.pid);
      const container = containers.find((each) => each.containerUid === containerUid)!;
      expect(container).toMatchObject({
        ...{ ...names, containerdNamespace, pid: task.pid, usesHostNetwork },
        ...{ runtime: 'containerd', image: 'localhost/netstatd/busybox:1' },
        podIPs: usesHostNetwork ? [] : addressesIn(`/proc/${task.pid}/ns/net`),
      });
      if (!usesHostNetwork) {
        const address = addresses.find((each) => each.ip === ip);
        expect(address).toMatchObject({ kind: 'pod' });
        expect(address?.containerUids).toContain(containerUid);
      }
      for (const [protocol, port] of [
        ['TCP', own.tcp],
        ['UDP', own.udp],
      ] as const) {
        const found = ports.filter(
          (each) => each.netns === netns && each.port === port && each.protocol === protocol,
        );
        expect(found.map((each) => [each.containerUid, each.podName])).toEqual([
          [containerUid, names.podName],
        ]);
      }
      const pids = await pidsOf(containerdNamespace, containerUid);
      const told = processes.filter(({ pid }) => pids.includes(pid));
      expect(told.filter((each) => each.containerUid !== containerUid)).toEqual([]);
      // They own sockets as long as the container runs.
      for (const role of ['listener', 'receiver'])
        expect(told.map(({ exe }) => exe)).toContain(`/shared/traffic-${role}`);
    }
  }

  async function list<T>(path: string): Promise<T[]> {
    return ((await up.get(path)) as { items: T[] }).items;
  }

  async function pidsOf(namespace: string, id: string): Promise<number[]> {
    const [, ...lines] = (await ctd.ctr(namespace, 'task', 'ps', id)).trim().split('\n');
    return lines.map((line) => Number.parseInt(line, 10));
  }

  /** Ends all, in the midst of what they do, and waits until their doors are silent. */
  async function stopAll(): Promise<void> {
    const byCtr = actors.filter(({ containerdNamespace }) => containerdNamespace !== 'k8s.io');
    await Promise.all([
      ...byCtr.map((actor) => ctd.remove(actor.containerdNamespace, actor.containerUid)),
      ...[...pods.values()].map((sandbox) => ctd.api.removePod(sandbox)),
    ]);
    const ids = [...actors.map(({ containerUid }) => containerUid), ...pods.values()];
    const isGone = (id: string) =>
      recorder.events.some((each) => each.type === 'container.deleted' && isOfContainer(each, id));
    await waitFor('the ends of all', () => ids.every(isGone)).catch(() =>
      expect(ids.filter((id) => !isGone(id))).toEqual([]),
    );
  }

  /** The end of connections that came to its ports. */
  function expectInbound(
    { containerUid, names: expected }: Actor,
    { ports, peers }: { ports: OwnPorts; peers: OwnPorts[] },
  ): void {
    for (const protocol of ['TCP', 'UDP'] as const) {
      const key = protocol === 'TCP' ? 'tcp' : 'udp';
      const all = new Set(peers.map((each) => each[key]));
      const events = recorder.connections(
        (event) =>
          event.protocol === protocol &&
          event.direction === 'inbound' &&
          event.localPort === ports[key] &&
          all.has(event.remotePort),
      );
      expect(sortedPorts(events.map(({ remotePort }) => remotePort))).toEqual(sortedPorts(all));
      const owned = events.filter(({ pid }) => pid !== undefined);
      expect(sortedPorts(owned.map(({ remotePort }) => remotePort))).toEqual(sortedPorts(all));
      for (const event of owned) expect(event).toMatchObject({ containerUid, ...expected });
    }
  }

  /** The doors are this process's, which is in no container, also where it has the address of hostNetwork pods. */
  function expectHostEnds(): void {
    const doors = new Set(actors.flatMap(({ door }) => [`TCP ${door.tcp}`, `UDP ${door.udp}`]));
    const own = recorder.connections(
      ({ direction, protocol, localPort }) =>
        direction === 'inbound' && doors.has(`${protocol} ${localPort}`),
    );
    expect(own.length).toBeGreaterThan(0);
    const wrong = own.filter(
      (event) => (event.pid ?? process.pid) !== process.pid || event.containerUid !== undefined,
    );
    expect(wrong.slice(0, 3)).toEqual([]);
  }

  /** It was told before anything that names it, and as gone once, after all that does. */
  function expectOrder(containerUid: string): void {
    const of = (type: NetstatdEvent['type']) => (event: NetstatdEvent) =>
      event.type === type && isOfContainer(event, containerUid);
    const { events } = recorder;
    expect(events.findIndex((event) => isOfContainer(event, containerUid))).toBe(
      events.findIndex(of('container.added')),
    );
    expect(events.filter(of('container.deleted'))).toHaveLength(1);
    const last = events.findLastIndex((event) => isOfContainer(event, containerUid));
    expect(events[last]?.type).toBe('container.deleted');
  }
});
