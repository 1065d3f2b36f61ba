import { containerOfCgroup } from '@netstatd/containers';
import type { CgroupIndex } from '@netstatd/procfs';
import { BoundedMap } from './bounded-map.ts';
import { CgroupPaths } from './cgroup-paths.ts';
import { Container } from './container.ts';
import type { Limits } from './limits.ts';
import type { ProcessSource } from './parts.ts';
import type { Pods } from './pods.ts';
import type { Process } from './process.ts';
import { useOf, type TableUse } from './table.ts';

/** Cgroups whose container (or that they have none) is remembered. */
const CGROUPS_MAX = 65_536;

/**
 * Containers by their cgroups. The kernel names the cgroup of an owner in the record itself; where the unified
 * hierarchy tells nothing (cgroup v1), the owner's /proc/<pid>/cgroup is read once and inherited by its children.
 */
export class Containers {
  /** Cgroups whose path does not tell their container. */
  readonly paths = new CgroupPaths();
  readonly #pods: Pods;
  readonly #index: CgroupIndex;
  readonly #procfs: ProcessSource;
  readonly #legacy: boolean;
  readonly #byUid: BoundedMap<string, Container>;
  /** The container of a cgroup; that it has none, as the version of `paths` by which that is so. */
  readonly #byCgroup = new BoundedMap<number, Container | number>(CGROUPS_MAX);
  /** First processes of containers, by pid, as their runtimes tell them. */
  readonly #roots = new Map<
    number,
    { readonly startTicks: number; readonly container: Container }
  >();

  /**
   * @param legacy whether hierarchies of cgroup v1 are in use on this node
   * @param evict is told of a container that there is no room for any more
   */
  constructor(
    index: CgroupIndex,
    procfs: ProcessSource,
    legacy: boolean,
    limits: Pick<Limits, 'containers'>,
    pods: Pods,
    evict: (container: Container) => void,
  ) {
    this.#index = index;
    this.#procfs = procfs;
    this.#legacy = legacy;
    this.#pods = pods;
    this.#byUid = new BoundedMap(limits.containers, (container) => {
      container.evicted = true;
      this.forget(container);
      evict(container);
    });
  }

  get size(): number {
    return this.#byUid.size;
  }
  get evicted(): number {
    return this.#byUid.evicted;
  }
  tables(): TableUse[] {
    return [useOf('containers', this.#byUid), useOf('cgroups', this.#byCgroup)];
  }
  values(): IterableIterator<Container> {
    return this.#byUid.values();
  }
  get(containerUid: string): Container | undefined {
    return this.#byUid.get(containerUid);
  }

  /** Path of a cgroup of the unified hierarchy. */
  pathOf(cgroupId: number): string | undefined {
    return cgroupId === 0 ? undefined : this.#index.pathOf(cgroupId);
  }

  /**
   * The container of a socket's owner: by the cgroup it was in at that moment; where that tells nothing, by its
   * other cgroups, or those of its ancestors.
   */
  ofOwner(process: Process, cgroupId: number): Container | undefined {
    const container = this.#ofCgroup(cgroupId);
    if (container !== undefined) return container;
    if (!this.#legacy && this.pathOf(cgroupId) !== undefined) return undefined;
    return this.#ofProcess(process);
  }

  /**
   * A cgroup was made: its container is known from here on.
   * @returns the id of its container, when the path tells one that was not known before
   */
  made(cgroupId: number, path: string): string | undefined {
    this.#index.learn(cgroupId, path);
    this.#byCgroup.delete(cgroupId);
    const found = containerOfCgroup(path);
    const container = this.#byUid.get(found?.containerUid ?? '') ?? this.paths.at(path);
    if (container === undefined) return found?.containerUid;
    if (isOwnCgroup(path, container.containerUid) || this.paths.at(path) === container) {
      container.cgroupGone = false;
    }
    return undefined;
  }

  /**
   * A cgroup was removed.
   * @returns the container whose own cgroup it was
   */
  removed(cgroupId: number, path: string): Container | undefined {
    const container = this.#ofPaths([path], false);
    this.#index.forget(cgroupId);
    // Records of it may still be read.
    if (container === undefined) this.#byCgroup.delete(cgroupId);
    else this.#byCgroup.set(cgroupId, container);
    if (container === undefined) return undefined;
    const own = isOwnCgroup(path, container.containerUid) || this.paths.at(path) === container;
    if (!own) return undefined;
    container.cgroupGone = true;
    return container;
  }

  /** The containers that are to be deleted because their cgroups were removed while records were lost. */
  *reconcile(): Iterable<Container> {
    this.#index.rescan();
    const living = new Set<Container | undefined>();
    for (const path of this.#index.paths()) living.add(this.#ofPaths([path], false));
    for (const container of [...this.#byUid.values()]) {
      if (living.has(container) || this.#legacy) continue;
      container.cgroupGone = true;
      if (container.removed) yield container;
    }
  }

  /** A container that was not known, or a record that is read late names one that was deleted. */
  remember(container: Container): void {
    this.#byUid.set(container.containerUid, container);
    this.#pods.add(container);
  }

  forget(container: Container): void {
    this.#pods.remove(container);
    this.paths.forget(container);
    if (container.rootPid !== undefined) this.uproot(container, container.rootPid);
    if (this.#byUid.get(container.containerUid) === container) {
      this.#byUid.delete(container.containerUid);
    }
  }

  /** A runtime says which process is a container's first, and /proc agrees. Its children are the container's, too. */
  root(container: Container, pid: number, startTicks: number): void {
    const { rootPid } = container;
    if (rootPid !== undefined && rootPid !== pid) this.uproot(container, rootPid);
    container.rootPid = pid;
    this.#roots.set(pid, { startTicks, container });
  }

  /** The first process of a container is another one now. */
  uproot(container: Container, pid: number): void {
    if (this.#roots.get(pid)?.container === container) this.#roots.delete(pid);
  }

  #ofCgroup(cgroupId: number): Container | undefined {
    const known = this.#byCgroup.get(cgroupId);
    if (typeof known === 'number' ? known === this.paths.version : known?.removed === false) {
      return typeof known === 'number' ? undefined : known;
    }
    const path = this.pathOf(cgroupId);
    if (path === undefined) return typeof known === 'number' ? undefined : known;
    const container = this.#ofPaths([path]);
    this.#byCgroup.set(cgroupId, container ?? this.paths.version);
    return container;
  }

  #ofProcess(process: Process): Container | undefined {
    const { version } = this.paths;
    if (process.containerVersion !== version) {
      process.containerVersion = version;
      const paths = this.#procfs.readCgroups(process.pid, process.startTicks);
      process.container =
        this.#rootOf(process) ??
        (paths === undefined ? this.#inherited(process) : this.#ofPaths(paths));
    }
    return process.container;
  }

  #rootOf({ pid, startTicks }: Process): Container | undefined {
    const root = this.#roots.get(pid);
    return root?.startTicks === startTicks ? root.container : undefined;
  }

  /** What its nearest ancestor was in that anything is known of: it has ended before anybody could ask. */
  #inherited(process: Process): Container | undefined {
    for (let each: Process | undefined = process; each; each = each.parent) {
      const container = each.container ?? this.#rootOf(each);
      if (container !== undefined || (each !== process && each.containerVersion >= 0)) {
        return container;
      }
    }
    return undefined;
  }

  #ofPaths(paths: readonly string[], create = true): Container | undefined {
    for (const path of paths) {
      const found = containerOfCgroup(path);
      const asked = this.paths.find(path);
      // The inner of two is meant: it stands in what follows the other's own cgroup.
      if (asked && !(found && path.includes(found.containerUid, asked.length))) {
        return asked.container;
      }
      if (found === undefined) continue;
      let container = this.#byUid.get(found.containerUid);
      if (container === undefined && create) {
        container = new Container(found);
        this.remember(container);
      }
      return container;
    }
    return undefined;
  }
}

/** Whether the last segment of a path is a container's, and not one that its own init made below. */
function isOwnCgroup(path: string, containerUid: string): boolean {
  return path.slice(path.lastIndexOf('/') + 1).includes(containerUid);
}
