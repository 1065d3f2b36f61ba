import { setTimeout as delay } from 'node:timers/promises';
import { CONTAINERS, describeOn, waitFor } from '@netstatd/testkit';
import { containerId, TestContainerd } from '@netstatd/testkit/containerd';
import { ContainerdFollower, type ContainerdFollowerOptions } from './containerd-follower.ts';
import type { RuntimeContainer } from './runtime-container.ts';

/** A follower, and what it told. */
class Told {
  readonly containers = new Map<string, RuntimeContainer>();
  /** "start ID PID", "stop ID PID", "add ID", "remove ID", each as often as it was told. */
  readonly news = new Map<string, number>();
  readonly lines: string[] = [];
  readonly follower: ContainerdFollower;

  constructor(socket: string, options: Partial<ContainerdFollowerOptions> = {}) {
    this.follower = new ContainerdFollower({
      socket,
      log: {
        info: (_: object, message: string) => this.lines.push(message),
        warn: (_: object, message: string) => this.lines.push(message),
      } as unknown as ContainerdFollowerOptions['log'],
      events: {
        container: (container) => this.#container(container),
        removed: (id) => {
          this.#once(`remove ${id}`);
          expect(this.containers.delete(id)).toBe(true);
        },
      },
      ...options,
    });
  }

  synced() {
    return waitFor('the list', () => this.follower.state.synced);
  }

  /** News that were told more than once. */
  get doubled(): string[] {
    return [...this.news].filter(([, times]) => times > 1).map(([text]) => text);
  }

  #container(container: RuntimeContainer) {
    const { id, state, pid } = container;
    const before = this.containers.get(id);
    if (!before) this.#once(`add ${id}`);
    if (pid !== undefined && pid !== before?.pid) this.#once(`start ${id} ${pid}`);
    if (state === 'exited' && before?.state === 'running')
      this.#once(`stop ${id} ${before.pid ?? 0}`);
    this.containers.set(id, container);
  }

  #once(text: string) {
    this.news.set(text, (this.news.get(text) ?? 0) + 1);
  }
}

/** What ctr says, in the form of `tableOf`. */
async function ctrTable(ctd: TestContainerd, namespaces: readonly string[]): Promise<string[]> {
  const lines: string[] = [];
  for (const namespace of namespaces) {
    const tasks = await ctd.tasks(namespace);
    for (const id of await ctd.containers(namespace)) {
      const task = tasks.get(id);
      const running = task?.status === 'RUNNING';
      lines.push(`${namespace} ${id} ${running ? `running ${task.pid}` : 'not running'}`);
    }
  }
  return lines.sort();
}

const tableOf = (told: Told) =>
  [...told.containers.values()]
    .map(({ id, containerdNamespace = '', state, pid }) => {
      const text = state === 'running' ? `running ${pid ?? 0}` : 'not running';
      return `${containerdNamespace} ${id} ${text}`;
    })
    .sort();

/** Waits until the follower has told what ctr says. */
async function agrees(told: Told, ctd: TestContainerd, namespaces: readonly string[]) {
  const expected = await ctrTable(ctd, namespaces);
  await waitFor(
    'the table of ctr',
    () => told.follower.state.synced && tableOf(told).join() === expected.join(),
    15_000,
  ).catch(() => expect(tableOf(told)).toEqual(expected));
}

const uid = (number: number) => `abcdef01-1111-2222-3333-${number.toString().padStart(12, '0')}`;
const PATIENT = 120_000;

describeOn(CONTAINERS, 'a real containerd', () => {
  let ctd: TestContainerd;
  const followers: Told[] = [];
  const follow = (options?: Partial<ContainerdFollowerOptions>) => {
    const told = new Told(ctd.socket, options);
    followers.push(told);
    return told;
  };

  beforeEach(async () => (ctd = await TestContainerd.start()), PATIENT);
  afterEach(async () => {
    for (const { follower } of followers.splice(0)) follower.close();
    await ctd.close();
  }, PATIENT);

  it(
    'A10 A61 tells pods with their names, addresses and network, and containers of namespaces made later',
    async () => {
      const early = await ctd.pod({
        name: 'early',
        namespace: 'shop',
        uid: uid(1),
        containers: { web: ['sleep', '100'], log: ['sleep', '100'] },
      });
      const told = follow();
      await told.synced();
      const late = await ctd.pod({
        name: 'late',
        namespace: 'shop',
        uid: uid(2),
        containers: { agent: ['sleep', '100'] },
        hostNetwork: true,
      });
      const id = containerId();
      const cgroup = `/kubepods.slice/kubepods-pod${uid(3).replaceAll('-', '_')}.slice/cri-containerd-${id}.scope`;
      await ctd.run({ namespace: 'made-later', id, cgroup, labels: { colour: 'blue' } });
      await ctd.run({ namespace: 'default', id: 'by.name', hostNetwork: true });
      await agrees(told, ctd, ['k8s.io', 'made-later', 'default']);

      const web = told.containers.get(early.containers.web!);
      const sandbox = told.containers.get(early.sandboxId);
      expect(web).toMatchObject({
        podName: 'early',
        podNamespace: 'shop',
        podUid: uid(1),
        containerName: 'web',
        hostNetwork: false,
        sandbox: false,
        sandboxId: early.sandboxId,
      });
      expect(sandbox).toMatchObject({ podName: 'early', sandbox: true, state: 'running' });
      expect(web?.podIPs).toEqual(sandbox?.podIPs);
      expect(web?.podIPs?.length).toBe(1);
      expect(web?.netnsPath).toMatch(/^\/var\/run\/netns\/cni-/);
      expect(told.containers.get(early.containers.log!)?.containerName).toBe('log');
      const agent = told.containers.get(late.containers.agent!);
      expect(agent).toMatchObject({ podName: 'late', hostNetwork: true, state: 'running' });
      expect(agent).toHaveProperty('startedMicros');
      expect(told.containers.get(id)).toMatchObject({
        containerdNamespace: 'made-later',
        cgroupsPath: cgroup,
        hostNetwork: false,
      });
      expect(told.containers.get(id)?.labels).toHaveProperty('colour', 'blue');
      expect(told.containers.get('by.name')).toMatchObject({ hostNetwork: true });

      await ctd.api.removePod(early.sandboxId);
      await ctd.remove('default', 'by.name');
      await agrees(told, ctd, ['k8s.io', 'made-later', 'default']);
      expect(told.doubled).toEqual([]);
    },
    PATIENT,
  );

  it(
    'A11 tells each start and each stop once, whatever happens while it lists',
    async () => {
      await Promise.all([0, 1, 2, 3].map((n) => ctd.run({ namespace: 'default', id: `old${n}` })));
      await ctd.api.create('bulk', Array.from({ length: 500 }, containerId));
      const churn = (async () => {
        for (let n = 0; n < 12; n++) {
          await ctd.run({
            namespace: 'default',
            id: `new${n}`,
            args: n % 3 ? ['sleep', '99'] : ['true'],
          });
          if (n < 4) await ctd.stop('default', `old${n}`);
          if (n % 2) await ctd.remove('default', `new${n}`);
        }
      })();
      const tolds: Told[] = [];
      for (let n = 0; n < 8; n++) {
        tolds.push(follow({ relistMs: 50 }));
        await delay(150);
      }
      await churn;
      for (const told of tolds) {
        await agrees(told, ctd, ['default', 'bulk']);
        expect(told.doubled).toEqual([]);
        expect(told.follower.counters).toMatchObject({ connects: 1, failures: 0, malformed: 0 });
      }
    },
    PATIENT,
  );

  it(
    'A12 is killed with -9 under load and started again: the table is that of ctr, and nothing is doubled',
    async () => {
      const namespaces = ['default', 'other', 'k8s.io'];
      await ctd.run({ namespace: 'other', id: 'stays' });
      await ctd.run({ namespace: 'other', id: 'goes' });
      const pod = { namespace: 'shop', containers: { web: ['sleep', '100'] } };
      await ctd.pod({ ...pod, name: 'one', uid: uid(1) });
      const told = follow();
      await told.synced();
      for (let round = 0; round < 3; round++) {
        const load = (async () => {
          for (let n = 0; n < 20; n++)
            await ctd.run({ namespace: 'default', id: `load${round}-${n}` }).catch(() => undefined);
        })();
        await delay(400);
        await ctd.kill();
        await waitFor('the loss', () => !told.follower.state.synced);
        await ctd.start();
        // While the follower waits to connect again.
        if (round === 0) await ctd.remove('other', 'goes');
        await ctd.run({ namespace: 'other', id: `between${round}` });
        await load;
        await agrees(told, ctd, namespaces);
      }
      expect(told.containers.get('stays')).toMatchObject({ state: 'running' });
      expect(told.containers.has('goes')).toBe(false);
      expect(told.doubled).toEqual([]);
      // One line for each loss and each return.
      expect(told.lines.filter((line) => line === 'containerd is followed')).toHaveLength(4);
      expect(told.follower.counters).toMatchObject({ connects: 4, malformed: 0 });
    },
    PATIENT,
  );

  it(
    'A12 a containerd that hangs is noticed, and followed again when it goes on',
    async () => {
      const told = follow({ heartbeatMs: 100, callMs: 300 });
      await told.synced();
      ctd.signal('SIGSTOP');
      await waitFor('the loss', () => !told.follower.state.synced);
      expect(told.follower.state.reason).toContain('no answer in time');
      expect(await told.follower.inspect(containerId(), 50)).toBe(false);
      ctd.signal('SIGCONT');
      await told.synced();
      await ctd.run({ namespace: 'default', id: 'after' });
      await agrees(told, ctd, ['default']);
    },
    PATIENT,
  );

  it(
    'A13 finds a container that is asked for by its id, in any namespace',
    async () => {
      const told = follow();
      await told.synced();
      const id = containerId();
      await ctd.run({ namespace: 'some', id });
      expect(await told.follower.inspect(id, 5000)).toBe(true);
      await agrees(told, ctd, ['some']);
      expect(await told.follower.inspect(containerId(), 5000)).toBe(false);
      expect(told.doubled).toEqual([]);
    },
    PATIENT,
  );

  it(
    'A20 5,000 containers without tasks are listed',
    async () => {
      const ids = Array.from({ length: 5000 }, containerId);
      await ctd.api.create('many', ids, 10_000);
      global.gc?.();
      const before = process.memoryUsage();
      const startedAt = performance.now();
      const told = follow();
      await told.synced();
      const took = performance.now() - startedAt;
      const after = process.memoryUsage();
      expect(told.follower.size).toBe(5000);
      expect(told.follower.counters).toMatchObject({ listed: 5000, failures: 0, refused: 0 });
      const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
      process.stderr.write(
        `5,000 containers: ${took.toFixed(0)} ms, rss +${mb(after.rss - before.rss)}, ` +
          `heap +${mb(after.heapUsed - before.heapUsed)}\n`,
      );
      const small = follow({ maxContainers: 100 });
      await small.synced();
      expect(small.follower.size).toBe(100);
      expect(small.follower.counters).toMatchObject({ refused: 4900 });
    },
    PATIENT,
  );
});
