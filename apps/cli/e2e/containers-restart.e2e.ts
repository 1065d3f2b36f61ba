import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerEvent } from '@netstatd/events';
import {
  acting,
  CONTAINERS,
  describeOn,
  Door,
  establishedPorts,
  isOfContainer,
  misnamed,
  sortedPorts,
  startUp,
  waitFor,
  WHOLE_CHAIN,
  type Connecting,
  type Recorder,
  type Up,
} from '@netstatd/testkit';
import { containerId, TestContainerd } from '@netstatd/testkit/containerd';

const NAMESPACES = ['k8s.io', 'default', 'other'];
/** The tables agree after so long at the most. */
const SOON_MS = 10_000;
const ROUNDS = 2;

describeOn([...WHOLE_CHAIN, ...CONTAINERS], 'a containerd that is killed under load', () => {
  let ctd: TestContainerd;
  let up: Up;
  let recorder: Recorder;
  const actors: (Connecting & { containerUid: string })[] = [];

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

  async function startPod(name: string): Promise<string> {
    const door = await Door.open();
    const { containers, sandboxId } = await ctd.pod({
      ...{ name, namespace: 'shop', uid: `uid-of-${name}` },
      containers: { main: acting(name, ctd.gateway, door) },
    });
    const told = { podName: name, namespace: 'shop', containerName: 'main' };
    actors.push({ containerUid: containers.main!, names: told, door });
    return sandboxId;
  }

  async function startByCtr(namespace: string): Promise<string> {
    const [containerUid, door] = [containerId(), await Door.open()];
    actors.push({ containerUid, names: {}, door });
    const args = acting(containerUid, ctd.gateway, door);
    await ctd.run({ namespace, id: containerUid, hostNetwork: true, args });
    return containerUid;
  }

  /** What ctr lists, a line each: namespace, id, and the pid while it runs. */
  async function byCtr(): Promise<string[]> {
    const lines: string[] = [];
    for (const namespace of NAMESPACES) {
      const tasks = await ctd.tasks(namespace);
      for (const id of await ctd.containers(namespace)) {
        const task = tasks.get(id);
        lines.push(`${namespace} ${id} ${task?.status === 'RUNNING' ? task.pid : '-'}`);
      }
    }
    return lines.sort();
  }

  async function byRest(): Promise<string[]> {
    const { items } = (await up.get('/api/containers')) as { items: ContainerEvent[] };
    // Of other things that run on this machine, only the cgroups are known.
    return items
      .filter(({ containerdNamespace }) => containerdNamespace !== undefined)
      .map((each) => `${each.containerdNamespace} ${each.containerUid} ${each.pid ?? '-'}`)
      .sort();
  }

  async function expectAgreement(): Promise<void> {
    const expected = await byCtr();
    await waitFor(
      'the containers that ctr lists',
      async () => (await byRest()).join() === expected.join(),
      SOON_MS,
    ).catch(async () => {
      const left = (await byRest()).filter((line) => !expected.includes(line));
      const of = (id: string) => [
        up.get(`/api/connections?container=${id}`),
        up.get(`/api/ports?container=${id}`),
      ];
      const sockets = await Promise.all(left.flatMap((line) => of(line.split(' ')[1]!)));
      expect({ left, sockets }).toEqual({ left: [], sockets: [] });
      expect(await byRest()).toEqual(expected);
    });
  }

  it('costs nothing that the kernel saw, and doubles nothing', async () => {
    await startPod('stays');
    const going = await startPod('goes');
    const killed = await startByCtr('other');
    await startByCtr('other');
    for (let round = 0; round < ROUNDS; round++) {
      const load = (async () => {
        // The one that is being started when containerd dies may fail.
        for (let n = 0; n < 6; n++) await startByCtr('default').catch(() => undefined);
      })();
      await delay(500);
      // Ends by itself while nobody watches.
      const { pid } = (await ctd.tasks('other')).get(killed) ?? {};
      await ctd.kill();
      if (round === 0 && pid !== undefined) process.kill(pid, 'SIGKILL');
      await load;
      await ctd.start();
      await Promise.all([startByCtr('default'), startPod(`between-${round}`)]);
      if (round === 0) await ctd.api.removePod(going);
      await expectAgreement();
      await waitFor('connections of all that run', async () => {
        const running = (await byCtr()).filter((line) => !line.endsWith('-'));
        return actors
          .filter(({ containerUid }) => running.some((line) => line.includes(containerUid)))
          .every(({ door }) => door.accepted.length > 10);
      });
    }

    const { containerUid: alive } = actors.find((each) => each.names.podName === 'stays')!;
    for (const namespace of ['default', 'other'])
      for (const id of await ctd.containers(namespace)) await ctd.remove(namespace, id);
    await ctd.api.removePods();
    await waitFor('the end of the last', () =>
      recorder.events.some(
        (each) => each.type === 'container.deleted' && isOfContainer(each, alive),
      ),
    );
    await expectAgreement();
    for (const actor of actors) {
      const { door, containerUid } = actor;
      const seen = () => ({
        containerUid,
        tcp: establishedPorts(recorder, actor, 'TCP'),
        udp: establishedPorts(recorder, actor, 'UDP'),
      });
      const made = {
        containerUid,
        tcp: sortedPorts(door.accepted),
        udp: sortedPorts(door.senders),
      };
      await waitFor('what was made', () => JSON.stringify(seen()) === JSON.stringify(made)).catch(
        () => expect(seen()).toEqual(made),
      );
      expect(misnamed(recorder, actor).slice(0, 3)).toEqual([]);
      const deleted = recorder.events.filter(
        (event) => event.type === 'container.deleted' && isOfContainer(event, containerUid),
      );
      const added = recorder.events.some(
        (event) => event.type === 'container.added' && isOfContainer(event, containerUid),
      );
      expect([containerUid, deleted.length]).toEqual([containerUid, added ? 1 : 0]);
    }
    expect(recorder.problems).toEqual([]);
  });
});
