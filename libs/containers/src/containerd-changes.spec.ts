import fc from 'fast-check';
import { setImmediate as breathe } from 'node:timers/promises';
import { ContainerdChanges } from './containerd-changes.ts';
import type { DescribedContainer } from './containerd-container.ts';
import type { ContainerdEvent } from './containerd-event.ts';
import { ContainerdTable } from './containerd-table.ts';
import { taskListed } from './containerd-task.ts';
import { Status, type Process } from './generated/containerd/task-types.ts';

/** A containerd with containers a, b, c of one namespace, in which things happen. */
class Pretended {
  readonly events: ContainerdEvent[] = [];
  readonly containers = new Map<string, DescribedContainer>();
  readonly tasks = new Map<string, Process>();
  #clock = 1_000_000;
  #pid = 100;

  happens(what: 'create' | 'update' | 'delete' | 'start' | 'exit', id: string): void {
    const micros = (this.#clock += 10);
    const about = { namespace: 'ns', id, micros };
    const task = this.tasks.get(id);
    const running = task?.status === Status.RUNNING;
    const container = this.containers.get(id);
    const described = { kind: 'described', ...about, image: 'image', labels: {} } as const;
    if (what === 'create' && !container) {
      this.containers.set(id, made(id, micros - 5));
      this.events.push(described);
    } else if (what === 'update' && container) {
      this.containers.set(id, { ...container, labels: { changed: `${micros}` } });
      this.events.push(described);
    } else if (what === 'delete' && container && !running) {
      this.containers.delete(id);
      this.tasks.delete(id);
      this.events.push({ kind: 'deleted', ...about });
    } else if (what === 'start' && container && !running) {
      const pid = ++this.#pid;
      const status = Status.RUNNING;
      this.tasks.set(id, { containerId: '', id, pid, status, exitedAt: undefined });
      this.events.push({ kind: 'started', ...about, pid });
    } else if (what === 'exit' && task && running) {
      const exitedAt = { seconds: 0n, nanos: 0 };
      this.tasks.set(id, { ...task, status: Status.STOPPED, exitedAt });
      this.events.push({ kind: 'exited', ...about, pid: task.pid });
    }
  }
}

const made = (id: string, createdMicros: number): DescribedContainer => ({
  id,
  runtime: 'containerd',
  containerdNamespace: 'ns',
  labels: {},
  sandbox: false,
  createdMicros,
});

class Follower {
  readonly told = new Map<string, string>();
  readonly news: string[] = [];
  readonly table = new ContainerdTable(
    {
      container: ({ id, state, pid }) => {
        const text = `${id} ${state} ${pid ?? ''}`;
        if (this.told.get(id) !== text) this.news.push(text);
        this.told.set(id, text);
      },
      removed: (id) => {
        this.news.push(`${id} removed`);
        this.told.delete(id);
      },
    },
    100,
    () => undefined,
  );
  readonly changes: ContainerdChanges;

  constructor(containerd: Pretended) {
    this.changes = new ContainerdChanges({
      table: this.table,
      get: async (_, id) => {
        await breathe();
        return containerd.containers.get(id);
      },
      announced: ({ id }) => made(id, 1),
      deleted: () => undefined,
      count: () => undefined,
      lost: (reason) => {
        throw new Error(reason);
      },
      concurrency: 2,
    });
  }

  list(containers: ReadonlyMap<string, DescribedContainer>, tasks: ReadonlyMap<string, Process>) {
    for (const each of containers.values())
      this.table.put(each, (task) => taskListed(task, tasks.get(each.id)));
    for (const { id } of [...this.table.of('ns')])
      if (!containers.has(id)) this.table.remove('ns', id);
  }
}

const what = fc.constantFrom('create', 'update', 'delete', 'start', 'exit' as const);
const happenings = (ids: string[]) =>
  fc.array(fc.tuple(what, fc.constantFrom(...ids)), { maxLength: 40 });

const settle = async () => {
  for (let n = 0; n < 200; n++) await breathe();
};

test('A11 whatever happens before, between and after subscription and list, the table is right', () =>
  fc.assert(
    fc.asyncProperty(
      fc.tuple(...Array.from({ length: 4 }, () => happenings(['a', 'b', 'c']))),
      async (phases) => {
        const containerd = new Pretended();
        const follower = new Follower(containerd);
        let sent = 0;
        const happen = (at: number) => {
          for (const [each, id] of phases[at] ?? []) containerd.happens(each, id);
        };
        const send = () => {
          for (; sent < containerd.events.length; sent++)
            follower.changes.push(containerd.events[sent]!);
        };
        happen(0);
        sent = containerd.events.length;
        follower.changes.hold();
        happen(1);
        const containers = new Map(containerd.containers);
        happen(2);
        follower.list(containers, new Map(containerd.tasks));
        send();
        follower.changes.release();
        happen(3);
        send();
        await settle();
        const truth = [...containerd.containers.keys()].map((id) => {
          const task = containerd.tasks.get(id);
          const running = task?.status === Status.RUNNING;
          const state = running ? 'running' : task ? 'exited' : 'created';
          return `${id} ${state} ${running ? task.pid : ''}`;
        });
        expect([...follower.told.values()].sort()).toEqual(truth.sort());
      },
    ),
    { numRuns: 300 },
  ));

test('A11 containers that stay are started and stopped as often as it happened since the list, no more', () =>
  fc.assert(
    fc.asyncProperty(
      fc.tuple(...Array.from({ length: 3 }, () => happenings(['a', 'b']))),
      async (phases) => {
        const containerd = new Pretended();
        const follower = new Follower(containerd);
        for (const id of ['a', 'b']) containerd.happens('create', id);
        const [before, between, after] = phases.map((each) =>
          each.filter(([kind]) => kind !== 'delete'),
        );
        for (const each of before!) containerd.happens(...each);
        const subscribed = containerd.events.length;
        follower.changes.hold();
        for (const each of between!) containerd.happens(...each);
        follower.list(containerd.containers, containerd.tasks);
        const listed = containerd.events.length;
        for (const each of containerd.events.slice(subscribed)) follower.changes.push(each);
        follower.changes.release();
        await settle();
        const news = follower.news.length;
        for (const each of after!) containerd.happens(...each);
        for (const each of containerd.events.slice(listed)) follower.changes.push(each);
        await settle();
        // Each container is told once by the list, whatever events told the same.
        expect(news).toBe(2);
        const happened = containerd.events.slice(listed);
        expect(follower.news.length - news).toBe(
          happened.filter(({ kind }) => kind !== 'described').length,
        );
      },
    ),
    { numRuns: 300 },
  ));

test('A11 more events than can wait are a loss', () => {
  const lost: string[] = [];
  const changes = new ContainerdChanges({
    table: new Follower(new Pretended()).table,
    get: () => new Promise(() => undefined),
    announced: ({ id }) => made(id, 1),
    deleted: () => undefined,
    count: () => undefined,
    lost: (reason) => lost.push(reason),
    maxWaiting: 10,
  });
  for (let n = 0; n < 40; n++)
    changes.push({
      kind: 'described',
      namespace: 'ns',
      id: `c${n}`,
      micros: 1,
      image: '',
      labels: {},
    });
  expect(lost).toEqual(['more events than could be applied']);
});
