import { withSandbox, type DescribedContainer } from './containerd-container.ts';
import { NO_TASK, type TaskState } from './containerd-task.ts';
import type { RuntimeContainer, RuntimeEvents } from './runtime-container.ts';

interface Entry {
  readonly key: string;
  described: DescribedContainer;
  task: TaskState;
  /** What was told last; undefined where another namespace's container of the same id is told. */
  told: RuntimeContainer | undefined;
  /** Number of the last change. */
  changed: number;
}

export type TableCounter = 'refused' | 'sameId' | 'replaced';

const keyOf = (namespace: string, id: string) => `${namespace}/${id}`;

/**
 * The containers of all namespaces of one containerd. Tells of each change once: the same news, from a list and from an
 * event, is no change. Containers of one id in several namespaces are all kept; one is told, and the next when it goes.
 */
export class ContainerdTable {
  readonly #events: RuntimeEvents;
  readonly #max: number;
  readonly #count: (what: TableCounter) => void;
  readonly #entries = new Map<string, Entry>();
  /** By id: the key of the container that is told. */
  readonly #told = new Map<string, string>();
  /** By key of a sandbox: keys of the containers of its pod. */
  readonly #members = new Map<string, Set<string>>();
  #changes = 0;

  constructor(events: RuntimeEvents, max: number, count: (what: TableCounter) => void) {
    this.#events = events;
    this.#max = max;
    this.#count = count;
  }

  /** Containers that are told. */
  get size(): number {
    return this.#told.size;
  }

  /** Number of the last change: containers with a later one have changed since. */
  get changes(): number {
    return this.#changes;
  }

  has(namespace: string, id: string): boolean {
    return this.#entries.has(keyOf(namespace, id));
  }

  /** Whether a container of this id is told, of whatever namespace. */
  hasId(id: string): boolean {
    return this.#told.has(id);
  }

  /** When the container was made, in microseconds since 1970. */
  createdMicros(namespace: string, id: string): number | undefined {
    return this.#entries.get(keyOf(namespace, id))?.described.createdMicros;
  }

  task(namespace: string, id: string): TaskState | undefined {
    return this.#entries.get(keyOf(namespace, id))?.task;
  }

  /** Containers whose last change is not after `change`. */
  *unchangedSince(change: number): Generator<DescribedContainer> {
    for (const { described, changed } of this.#entries.values())
      if (changed <= change) yield described;
  }

  /** Containers of one namespace. */
  *of(namespace: string): Generator<DescribedContainer> {
    for (const { described } of this.#entries.values())
      if (described.containerdNamespace === namespace) yield described;
  }

  *namespaces(): Generator<string> {
    const seen = new Set<string>();
    for (const { described } of this.#entries.values()) {
      if (seen.has(described.containerdNamespace)) continue;
      seen.add(described.containerdNamespace);
      yield described.containerdNamespace;
    }
  }

  /** Takes a description, and what `change` makes of the task. One made at another time is another container. */
  put(
    described: DescribedContainer,
    change: (task: TaskState) => TaskState = (task) => task,
  ): void {
    const key = keyOf(described.containerdNamespace, described.id);
    let entry = this.#entries.get(key);
    if (entry && isAnother(entry.described, described)) {
      this.#count('replaced');
      this.remove(described.containerdNamespace, described.id);
      entry = undefined;
    }
    if (!entry) {
      if (this.#entries.size >= this.#max) {
        this.#count('refused');
        return;
      }
      entry = { key, described, task: change(NO_TASK), told: undefined, changed: 0 };
      this.#entries.set(key, entry);
    } else {
      this.#leaveSandbox(entry);
      entry.described = described;
      entry.task = change(entry.task);
    }
    this.#joinSandbox(entry);
    this.#changed(entry);
    if (described.sandbox)
      for (const member of this.#members.get(key) ?? []) this.#tell(this.#entries.get(member));
  }

  /** Changes the task of a container; false when the container is not known. */
  change(namespace: string, id: string, change: (task: TaskState) => TaskState): boolean {
    const entry = this.#entries.get(keyOf(namespace, id));
    if (!entry) return false;
    const task = change(entry.task);
    if (task !== entry.task) {
      entry.task = task;
      this.#changed(entry);
    }
    return true;
  }

  remove(namespace: string, id: string): void {
    const key = keyOf(namespace, id);
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#leaveSandbox(entry);
    if (this.#told.get(id) !== key) return;
    this.#told.delete(id);
    this.#events.removed(id);
    this.#tell(this.#sameId(id));
  }

  #changed(entry: Entry): void {
    entry.changed = ++this.#changes;
    this.#tell(entry);
  }

  #tell(entry: Entry | undefined): void {
    if (!entry) return;
    const { id } = entry.described;
    const owner = this.#told.get(id);
    if (owner !== undefined && owner !== entry.key) {
      this.#count('sameId');
      return;
    }
    this.#told.set(id, entry.key);
    const container = this.#composed(entry);
    if (entry.told && same(entry.told, container)) return;
    entry.told = container;
    this.#events.container(container);
  }

  #composed({ described, task }: Entry): RuntimeContainer {
    const { sandboxId, containerdNamespace } = described;
    const sandbox =
      sandboxId === undefined || described.sandbox
        ? undefined
        : this.#entries.get(keyOf(containerdNamespace, sandboxId));
    const { state, pid, startedMicros, exitedMicros } = task;
    return {
      ...withSandbox(described, sandbox?.described),
      state,
      ...(state === 'running' && pid !== undefined && { pid }),
      ...(startedMicros !== undefined && { startedMicros }),
      ...(exitedMicros !== undefined && { exitedMicros }),
    };
  }

  #joinSandbox({ key, described: { containerdNamespace, sandbox, sandboxId } }: Entry): void {
    if (sandbox || sandboxId === undefined) return;
    const sandboxKey = keyOf(containerdNamespace, sandboxId);
    const members = this.#members.get(sandboxKey);
    if (members) members.add(key);
    else this.#members.set(sandboxKey, new Set([key]));
  }

  #leaveSandbox({ key, described: { containerdNamespace, sandbox, sandboxId } }: Entry): void {
    if (sandbox || sandboxId === undefined) return;
    const sandboxKey = keyOf(containerdNamespace, sandboxId);
    const members = this.#members.get(sandboxKey);
    members?.delete(key);
    if (members?.size === 0) this.#members.delete(sandboxKey);
  }

  #sameId(id: string): Entry | undefined {
    for (const namespace of this.namespaces()) {
      const entry = this.#entries.get(keyOf(namespace, id));
      if (entry) return entry;
    }
    return undefined;
  }
}

function isAnother(before: DescribedContainer, now: DescribedContainer): boolean {
  return (
    before.createdMicros !== undefined &&
    now.createdMicros !== undefined &&
    before.createdMicros !== now.createdMicros
  );
}

function same(before: RuntimeContainer, now: RuntimeContainer): boolean {
  return text(before) === text(now);
}

/** Neither labels nor fields have an order. */
const text = (container: RuntimeContainer) =>
  JSON.stringify(sorted({ ...container, labels: sorted(container.labels) }));

const sorted = (parts: object) => Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : 1));
