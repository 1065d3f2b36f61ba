import {
  byConnection,
  connectingOnce,
  CONTAINERS,
  describeOn,
  Door,
  establishedPorts,
  isOfContainer,
  misnamed,
  startUp,
  waitFor,
  WHOLE_CHAIN,
  type Connecting,
  type Recorder,
  type Up,
} from '@netstatd/testkit';
import { containerId, TestContainerd } from '@netstatd/testkit/containerd';

const TIMES = 10;
const SECONDS = 0.05;

describeOn([...WHOLE_CHAIN, ...CONTAINERS], 'a container that lives for 50 ms', () => {
  let ctd: TestContainerd;
  let up: Up;
  let recorder: Recorder;
  const doors: Door[] = [];

  beforeAll(async () => {
    ctd = await TestContainerd.start();
    up = await startUp({ env: { CONTAINERD_SOCKET: ctd.socket } });
    recorder = await up.record();
    // The bridge of the pods comes with the first of them.
    const containers = { main: ['sleep', '3600'] };
    await ctd.pod({ name: 'first', namespace: 'test', uid: 'first', containers });
  });
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => up.stop());
  afterAll(() => ctd.close());
  afterAll(() => {
    for (const door of doors) door.close();
  });

  async function open(): Promise<Door> {
    const door = await Door.open();
    doors.push(door);
    return door;
  }

  /** Its one connection was seen from the first event to the last, each with the full name. */
  async function expectNamed(one: Connecting & { containerUid: string }): Promise<void> {
    const ends = () =>
      byConnection(
        recorder.connections(
          ({ direction, remotePort }) => direction === 'outbound' && remotePort === one.door.tcp,
        ),
      );
    await waitFor('its end', () =>
      ends()
        .flat()
        .some(({ state }) => state === 'CLOSE'),
    );
    expect(one.door.accepted).toHaveLength(1);
    expect(establishedPorts(recorder, one, 'TCP')).toEqual(one.door.accepted);
    expect(ends().map((events) => events.map(({ state }) => state))).toEqual([
      ['SYN_SENT', 'ESTABLISHED', 'CLOSE'],
    ]);
    expect(misnamed(recorder, one)).toEqual([]);
    const processes = recorder.events.flatMap((event) =>
      event.type === 'process.metainfo' && isOfContainer(event, one.containerUid)
        ? [event.podName]
        : [],
    );
    expect([...new Set(processes)]).toEqual([one.names.podName]);
  }

  it('is named with its pod', async () => {
    for (let n = 0; n < TIMES; n++) {
      const [door, name] = [await open(), `short-${n}`];
      const { containers } = await ctd.pod({
        ...{ name, namespace: 'shop', uid: `uid-of-${name}` },
        containers: { main: connectingOnce(ctd.gateway, door, SECONDS) },
      });
      const told = { podName: name, namespace: 'shop', containerName: 'main' };
      await expectNamed({ containerUid: containers.main!, names: told, door });
    }
    expect(recorder.problems).toEqual([]);
  });

  it('is named by its labels, when ctr starts it', async () => {
    for (let n = 0; n < TIMES; n++) {
      const [door, id, podName] = [await open(), containerId(), `labelled-${n}`];
      await ctd.run({
        ...{ namespace: 'default', id, hostNetwork: true },
        args: connectingOnce(ctd.gateway, door, SECONDS),
        labels: {
          'io.kubernetes.pod.name': podName,
          'io.kubernetes.pod.namespace': 'shop',
          'io.kubernetes.pod.uid': `uid-of-${podName}`,
          'io.kubernetes.container.name': 'main',
        },
      });
      const told = { podName, namespace: 'shop', containerName: 'main' };
      await expectNamed({ containerUid: id, names: told, door });
      await ctd.remove('default', id);
      await recorder.waitFor(
        'container.deleted',
        (event) => event.type === 'container.deleted' && isOfContainer(event, id),
      );
    }
    expect(recorder.problems).toEqual([]);
  });
});
