import type { NetstatdEvent } from '@netstatd/events';
import {
  describeOn,
  CONTAINERS,
  startUp,
  waitFor,
  WHOLE_CHAIN,
  type Recorder,
  type Up,
} from '@netstatd/testkit';
import { containerId, TestContainerd } from '@netstatd/testkit/containerd';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';

/** What a runtime's clients for Kubernetes put on a container. */
const podLabels = (pod: string, container: string) => ({
  'io.kubernetes.pod.name': pod,
  'io.kubernetes.pod.namespace': 'shop',
  'io.kubernetes.pod.uid': `00000000-0000-0000-0000-${pod.padStart(12, '0')}`,
  'io.kubernetes.container.name': container,
});

describeOn([...WHOLE_CHAIN, ...CONTAINERS], 'containers of a real containerd', () => {
  let containerd: TestContainerd;
  let up: Up;
  let recorder: Recorder;
  let server: Server;
  let port: string;

  beforeAll(async () => {
    containerd = await TestContainerd.start();
    server = createServer((socket) => socket.on('error', () => undefined).end()).listen(0);
    await once(server, 'listening');
    port = String((server.address() as AddressInfo).port);
    up = await startUp({ env: { CONTAINERD_SOCKET: containerd.socket } });
    recorder = await up.record();
  });
  afterAll(() => up.stop());
  afterAll(() => containerd.close());
  afterAll(() => void server.close());

  /** What names a container, in the order in which it came. */
  const eventsOf = (id: string): NetstatdEvent[] =>
    recorder.events.filter((event) => 'containerUid' in event && event.containerUid === id);

  const closesOf = (id: string) =>
    recorder.connections(
      ({ containerUid, state, type }) =>
        containerUid === id && state === 'CLOSE' && type === 'connection.event',
    );

  /** One connection, by a process that lives for as long as that takes. */
  const connectOnce = ['nc', '127.0.0.1'];

  test('A12 B04 a container that lives for a moment and makes one connection is named with its pod', async () => {
    const ids = Array.from({ length: 5 }, () => containerId());
    for (const [at, id] of ids.entries()) {
      await containerd.run({
        ...{ namespace: 'k8s.io', id, hostNetwork: true },
        labels: podLabels(`${at}`, 'app'),
        args: [...connectOnce, port],
      });
      await waitFor(`the connection of ${id}`, () => closesOf(id).length > 0);
      const events = eventsOf(id);
      expect(events[0]?.type).toBe('container.added');
      for (const event of events.slice(1)) {
        expect(event).toMatchObject({ podName: `${at}`, namespace: 'shop' });
      }
      for (const close of closesOf(id)) expect(close).toMatchObject({ containerName: 'app' });
    }
    const made = new Set<string | undefined>(ids);
    const owned = recorder.connections(
      ({ direction, remotePort }) => direction === 'outbound' && String(remotePort) === port,
    );
    for (const event of owned) expect(made).toContain(event.containerUid);
    for (const id of ids) await containerd.remove('k8s.io', id);
    for (const id of ids) {
      await waitFor(`the end of ${id}`, () => eventsOf(id).at(-1)?.type === 'container.deleted');
    }
  });

  test('A11 a container of any namespace, with an id that its maker chose, is known', async () => {
    await containerd.run({
      ...{ namespace: 'custom', id: 'web', hostNetwork: true },
      args: ['sh', '-c', `nc 127.0.0.1 ${port}; sleep 3600`],
    });
    await waitFor('its connection', () => closesOf('web').length > 0);
    const [added] = eventsOf('web');
    expect(added).toMatchObject({ type: 'container.added', containerdNamespace: 'custom' });
    const latest = eventsOf('web').findLast(({ type }) => type === 'container.added');
    expect(latest).toMatchObject({ usesHostNetwork: true, podIPs: [] });
    await containerd.remove('custom', 'web');
    await waitFor('its end', () => eventsOf('web').at(-1)?.type === 'container.deleted');
  });

  test('A14 C04 two containers of one pod on the host’s network are never mixed', async () => {
    const [one, two] = [containerId(), containerId()];
    const loop = (count: number) => [
      ...['sh', '-c', `for i in $(seq ${count}); do nc 127.0.0.1 ${port}; done; sleep 3600`],
    ];
    await Promise.all(
      [one, two].map((id, at) =>
        containerd.run({
          ...{ namespace: 'k8s.io', id, hostNetwork: true, args: loop(100) },
          labels: podLabels('7', at === 0 ? 'app' : 'log'),
        }),
      ),
    );
    await waitFor('every connection', () => [one, two].every((id) => closesOf(id).length === 100));
    for (const close of closesOf(one)) expect(close).toMatchObject({ containerName: 'app' });
    for (const close of closesOf(two)) expect(close).toMatchObject({ containerName: 'log' });
    await Promise.all([one, two].map((id) => containerd.remove('k8s.io', id)));
  });
});
