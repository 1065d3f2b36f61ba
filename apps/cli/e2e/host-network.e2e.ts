import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  connecting,
  CONTAINERS,
  describeOn,
  Door,
  establishedPorts,
  misnamed,
  sortedPorts,
  startUp,
  TrafficProcess,
  waitFor,
  WHOLE_CHAIN,
  type Connecting,
  type PodNames,
  type Recorder,
  type Up,
} from '@netstatd/testkit';
import { TestContainerd, type PodRequest } from '@netstatd/testkit/containerd';

const CONNECTIONS = 500;
const DATAGRAMS = 50;

const HOST = '/proc/self/ns/net';

describeOn([...WHOLE_CHAIN, ...CONTAINERS], 'containers that share a network', () => {
  let ctd: TestContainerd;
  let up: Up;
  let recorder: Recorder;
  const doors: Door[] = [];
  const processes: TrafficProcess[] = [];

  beforeAll(async () => {
    ctd = await TestContainerd.start();
    up = await startUp({ env: { CONTAINERD_SOCKET: ctd.socket } });
    recorder = await up.record();
    // The bridge of the pods comes with the first of them.
    const containers = { main: ['sleep', '3600'] };
    await ctd.pod({ name: 'first', namespace: 'test', uid: 'first', containers });
    await recorder.waitFor(
      'its address to be known as the host’s',
      (event) => event.type === 'host.info' && event.hostIPs.includes(ctd.gateway),
    );
  });
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => up.stop());
  afterAll(() => ctd.close());
  afterAll(() => {
    for (const door of doors) door.close();
    for (const each of processes) each.kill();
  });

  async function open(): Promise<Door> {
    const door = await Door.open();
    doors.push(door);
    return door;
  }

  /** Starts a pod whose containers connect and send once they are let go. */
  async function startPod(
    name: string,
    containers: readonly string[],
    hostNetwork: boolean,
  ): Promise<Connecting[]> {
    const own = await Promise.all(containers.map(open));
    const commands = containers.map((container, index) => [
      container,
      connecting(ctd.gateway, own[index]!, { connections: CONNECTIONS, datagrams: DATAGRAMS }),
    ]);
    const made = await ctd.pod({
      ...{ name, namespace: 'test', uid: `uid-of-${name}`, hostNetwork },
      containers: Object.fromEntries(commands) as PodRequest['containers'],
    });
    return containers.map((containerName, index) => ({
      containerUid: made.containers[containerName]!,
      names: { podName: name, namespace: 'test', containerName } satisfies PodNames,
      door: own[index]!,
    }));
  }

  async function expectAll(all: readonly Connecting[], hostIP?: string): Promise<void> {
    await waitFor('all connections and datagrams', () =>
      all.every(({ door }) => door.accepted.length === CONNECTIONS && door.datagrams === DATAGRAMS),
    );
    for (const one of all) {
      const { accepted, senders } = one.door;
      await waitFor(
        'all to be seen',
        () =>
          establishedPorts(recorder, one, 'TCP').length >= CONNECTIONS &&
          establishedPorts(recorder, one, 'UDP').length >= senders.size,
      ).catch(() => undefined);
      expect(establishedPorts(recorder, one, 'TCP')).toEqual(sortedPorts(accepted));
      expect(establishedPorts(recorder, one, 'UDP')).toEqual(sortedPorts(senders));
      expect(misnamed(recorder, one).slice(0, 3)).toEqual([]);
      if (hostIP === undefined) continue;
      const { tcp, udp } = one.door;
      const inbound = recorder.connections(
        ({ direction, localPort }) => direction === 'inbound' && [tcp, udp].includes(localPort!),
      );
      // Whose address it is says nothing about which of them it was.
      const kinds = inbound.map(({ remoteIP, remote }) => `${remoteIP} ${remote?.kind}`);
      expect([...new Set(kinds)]).toEqual([`${hostIP} host`]);
    }
    expect(recorder.problems).toEqual([]);
  }

  const go = () => writeFileSync(join(ctd.shared, 'go'), '');

  it('are told apart in one pod, both connecting at the same time (A14)', async () => {
    const both = await startPod('pair', ['left', 'right'], false);
    go();
    await expectAll(both);
  });

  it('are told apart on the address of the host, and from what is no container (C04)', async () => {
    const pods = await Promise.all([
      startPod('one', ['main'], true),
      startPod('other', ['main'], true),
    ]);
    const door = await open();
    const to = ['--to', ctd.gateway, '--port'];
    const netns = { name: 'host', path: HOST, inode: 0, address4: '', address6: '' };
    const daemon = new TrafficProcess(
      'client',
      ['connect', ...to, `${door.tcp}`, '--count', `${CONNECTIONS}`],
      { netns },
    );
    const senders = Array.from(
      { length: DATAGRAMS },
      () => new TrafficProcess('sender', ['send', ...to, `${door.udp}`], { netns }),
    );
    processes.push(daemon, ...senders);
    go();
    await Promise.all([daemon.go('client'), ...senders.map((sender) => sender.go('sender'))]);
    await expectAll([...pods.flat(), { names: {}, door }], ctd.gateway);
  });
});
