import { setImmediate as breathe, setTimeout as delay } from 'node:timers/promises';
import { ContainerdChanges } from './containerd-changes.ts';
import { ContainerdClient, type ContainerdTimeouts } from './containerd-client.ts';
import {
  describeContainer,
  isContainerdName,
  type DescribedContainer,
} from './containerd-container.ts';
import type { ContainerdCounters } from './containerd-counters.ts';
import { containerdEvent, type ContainerDescribed } from './containerd-event.ts';
import type { ContainerdTable } from './containerd-table.ts';
import { taskListed } from './containerd-task.ts';
import type { Container } from './generated/containerd/containers.ts';
import type { Envelope } from './generated/containerd/events.ts';
import type { Process } from './generated/containerd/task-types.ts';
import { InspectQueue } from './inspect-queue.ts';
import { RpcError } from './rpc-error.ts';

/** Namespaces beyond it are not listed. */
const MAX_NAMESPACES = 1024;
/** So many containers are told at a stretch. */
const STRETCH = 256;
/** So many tasks are asked for at once. */
const TASKS_AT_ONCE = 16;
/** Containers that are asked for by name at once; each is asked of every namespace. */
const INSPECTIONS_AT_ONCE = 8;
/** Containers that wait to be asked for by name; more are not asked for. */
const MAX_INSPECTIONS = 4096;

export interface SessionOptions {
  readonly socket: string;
  readonly table: ContainerdTable;
  readonly counters: ContainerdCounters;
  readonly timeouts: ContainerdTimeouts;
  /** Milliseconds between two questions whether containerd is there. */
  readonly heartbeatMs: number;
  /** Milliseconds between two lists. */
  readonly relistMs: number;
  readonly synced: (version: string) => void;
  /** containerd has answered for a while. */
  readonly steady: () => void;
}

/** One connection to containerd: its events, a list of everything, and again a list now and then. */
export class ContainerdSession {
  readonly #options: SessionOptions;
  readonly #client: ContainerdClient;
  readonly #changes: ContainerdChanges;
  readonly #namespaces = new Set<string>();
  /** Inspections that run, by id: whether the container was deleted meanwhile. */
  readonly #inspected = new Map<string, { gone: boolean }>();
  readonly #inspections = new InspectQueue((id) => this.#inspect(id), INSPECTIONS_AT_ONCE);
  readonly #ended = new AbortController();
  #fail: (error: Error) => void = () => undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { table, counters } = options;
    this.#client = new ContainerdClient(options.socket, options.timeouts);
    this.#changes = new ContainerdChanges({
      table,
      get: (namespace, id) => this.#get(namespace, id),
      announced: (event) => this.#announced(event),
      deleted: (namespace, id) => {
        const inspected = this.#inspected.get(`${namespace}/${id}`);
        if (inspected) inspected.gone = true;
      },
      count: (what) => counters[what]++,
      lost: (reason) => this.#fail(new Error(reason)),
    });
  }

  /**
   * Follows until the connection is lost or `close` is called.
   * @throws with the reason, always
   */
  async run(): Promise<never> {
    const failed = new Promise<never>((_, reject) => (this.#fail = reject));
    try {
      this.#changes.hold();
      const followed = this.#client
        .follow((envelope) => this.#hear(envelope))
        .then(() => {
          throw new Error('Events.Subscribe: containerd ended the stream');
        });
      return await Promise.race([failed, followed, this.#lists(), this.#beats()]);
    } finally {
      this.close();
    }
  }

  /** Asks all namespaces for a container; the table has it then, if one of them has. */
  async inspect(id: string): Promise<void> {
    if (this.#inspections.size < MAX_INSPECTIONS) await this.#inspections.add(id);
    else this.#options.counters.uninspected++;
  }

  close(): void {
    this.#ended.abort();
    this.#changes.close();
    this.#client.close();
    this.#fail(new Error('closed'));
  }

  #hear(envelope: Envelope): void {
    const { counters } = this.#options;
    counters.events++;
    try {
      const event = containerdEvent(envelope);
      if (!event) return;
      if (this.#namespaces.size < MAX_NAMESPACES) this.#namespaces.add(event.namespace);
      this.#changes.push(event);
    } catch {
      counters.malformed++;
    }
  }

  async #inspect(id: string): Promise<void> {
    this.#options.counters.inspections++;
    const namespaces = [...this.#namespaces];
    await Promise.all(namespaces.map((namespace) => this.#inspectIn(namespace, id)));
  }

  async #inspectIn(namespace: string, id: string): Promise<void> {
    const { table } = this.#options;
    const key = `${namespace}/${id}`;
    const inspected = { gone: false };
    this.#inspected.set(key, inspected);
    try {
      const described = await this.#get(namespace, id);
      if (!described) return;
      const process = await this.#client.task(namespace, id);
      if (this.#ended.signal.aborted) return;
      table.put(described, (task) => (process ? taskListed(task, process) : task));
      if (inspected.gone) table.remove(namespace, id);
    } finally {
      this.#inspected.delete(key);
    }
  }

  async #get(namespace: string, id: string): Promise<DescribedContainer | undefined> {
    this.#options.counters.gets++;
    try {
      const container = await this.#client.container(namespace, id);
      return container?.id === id ? this.#described(namespace, container) : undefined;
    } catch (error) {
      if (!(error instanceof RpcError) || error.lost) throw error;
      this.#options.counters.malformed++;
      return undefined;
    }
  }

  #described(namespace: string, container: Container): DescribedContainer | undefined {
    const { counters } = this.#options;
    if (isContainerdName(container.id))
      return describeContainer(namespace, container, (complaint) => counters[complaint]++);
    counters.malformed++;
    return undefined;
  }

  #announced({ namespace, id, image, labels }: ContainerDescribed): DescribedContainer {
    const nothing = { runtime: undefined, spec: undefined, createdAt: undefined, extensions: {} };
    const { counters } = this.#options;
    return describeContainer(namespace, { id, image, labels, ...nothing }, (complaint) => {
      counters[complaint]++;
    });
  }

  async #beats(): Promise<never> {
    const { heartbeatMs, steady } = this.#options;
    for (;;) {
      await delay(heartbeatMs, undefined, { signal: this.#ended.signal });
      await this.#client.version();
      steady();
    }
  }

  async #lists(): Promise<never> {
    const { relistMs, synced, counters } = this.#options;
    for (let lists = 0; ; lists++) {
      // Nothing says that the subscription has begun but an event. It was sent before this question, on the same
      // connection, and containerd takes what comes in its order: after the answer it is there, and the list is newer.
      const version = await this.#client.version();
      if (lists === 0) counters.connects++;
      await this.#list();
      counters.lists++;
      this.#changes.release();
      synced(version);
      await delay(relistMs, undefined, { signal: this.#ended.signal });
      this.#changes.hold();
    }
  }

  async #list(): Promise<void> {
    const { table } = this.#options;
    const before = table.changes;
    const namespaces = new Set((await this.#client.namespaces()).filter(isContainerdName));
    for (const namespace of [...namespaces].slice(0, MAX_NAMESPACES)) {
      this.#namespaces.add(namespace);
      await this.#listNamespace(namespace, before);
    }
    for (const namespace of this.#namespaces)
      if (!namespaces.has(namespace)) this.#namespaces.delete(namespace);
    for (const namespace of [...table.namespaces()])
      if (!namespaces.has(namespace)) this.#forget(namespace, new Set(), before);
  }

  async #listNamespace(namespace: string, before: number): Promise<void> {
    const { table, counters } = this.#options;
    const found = new Map<string, DescribedContainer>();
    await this.#client.containers(namespace, (container) => {
      counters.listed++;
      const described = this.#described(namespace, container);
      if (described) found.set(described.id, described);
    });
    const tasks = new Map<string, Process>();
    for (const task of await this.#client.tasks(namespace)) tasks.set(task.id, task);
    await this.#askMissing(namespace, found, tasks);
    // Sandboxes first, as they know the addresses of the others.
    const ordered = [...found.values()].sort((a, b) => Number(b.sandbox) - Number(a.sandbox));
    for (const [at, described] of ordered.entries()) {
      if (at % STRETCH === STRETCH - 1) await breathe();
      const process = tasks.get(described.id);
      table.put(described, (task) => taskListed(task, process));
    }
    this.#forget(namespace, found, before);
  }

  /** containerd leaves out tasks whose shim does not answer: those that ran are asked for one by one. */
  async #askMissing(
    namespace: string,
    found: ReadonlyMap<string, unknown>,
    tasks: Map<string, Process>,
  ): Promise<void> {
    const { table } = this.#options;
    const missing = [...found.keys()].filter(
      (id) => !tasks.has(id) && table.task(namespace, id)?.state === 'running',
    );
    for (let at = 0; at < missing.length; at += TASKS_AT_ONCE)
      await Promise.all(
        missing.slice(at, at + TASKS_AT_ONCE).map(async (id) => {
          const task = await this.#client.task(namespace, id);
          if (task) tasks.set(id, task);
        }),
      );
  }

  /** Removes what was not listed; what has changed since the list was asked for is asked for again. */
  #forget(namespace: string, found: { has(id: string): boolean }, before: number): void {
    const { table } = this.#options;
    const missing = [...table.of(namespace)].filter(({ id }) => !found.has(id));
    const unchanged = new Set([...table.unchangedSince(before)]);
    for (const described of missing) {
      const { id } = described;
      if (unchanged.has(described)) table.remove(namespace, id);
      else this.#changes.push({ kind: 'deleted', namespace, id, micros: undefined });
    }
  }
}
