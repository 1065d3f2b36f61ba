import { containerOfCgroup } from '@netstatd/containers';
import type { CgroupIndex } from '@netstatd/procfs';
import { BoundedMap } from './bounded-map.ts';
import { Container } from './container.ts';
import type { Limits } from './limits.ts';
import type { ProcessSource } from './parts.ts';
import type { Process } from './process.ts';
import { useOf, type TableUse } from './table.ts';

/** Cgroups whose container (or that they have none) is remembered. */
const CGROUPS_MAX = 65_536;

/**
 * Containers by their cgroups. The kernel names the cgroup of an owner in the record itself; where the unified
 * hierarchy tells nothing (cgroup v1), the owner's /proc/<pid>/cgroup is read once and inherited by its children.
 */
export class Containers {
  readonly #index: CgroupIndex;
  readonly #procfs: ProcessSource;
  readonly #legacy: boolean;
  readonly #byUid: BoundedMap<string, Container>;
  readonly #byCgroup = new BoundedMap<number, Container | null>(CGROUPS_MAX);

  /** @param legacy whether hierarchies of cgroup v1 are in use on this node */
  constructor(
    index: CgroupIndex,
    procfs: ProcessSource,
    legacy: boolean,
    limits: Pick<Limits, 'containers'>,
  ) {
    this.#index = index;
    this.#procfs = procfs;
    this.#legacy = legacy;
    this.#byUid = new BoundedMap(limits.containers);
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

  /** Path of a cgroup of the unified hierarchy. */
  pathOf(cgroupId: number): string | undefined {
    return cgroupId === 0 ? undefined : this.#index.pathOf(cgroupId);
  }

  /** The container of a socket's owner: by the cgroup it was in at that moment, else by its v1 cgroups. */
  ofOwner(process: Process, cgroupId: number): Container | undefined {
    return this.#ofCgroup(cgroupId) ?? (this.#legacy ? this.#ofLegacy(process) : undefined);
  }

  /** A cgroup was made: its container is known from here on. */
  made(cgroupId: number, path: string): void {
    this.#index.learn(cgroupId, path);
    this.#byCgroup.delete(cgroupId);
  }

  /**
   * A cgroup was removed.
   * @returns the container whose own cgroup it was
   */
  removed(cgroupId: number, path: string): Container | undefined {
    this.#index.forget(cgroupId);
    this.#byCgroup.delete(cgroupId);
    const found = containerOfCgroup(path);
    if (found === undefined || !isOwnCgroup(path, found.containerUid)) return undefined;
    const container = this.#byUid.get(found.containerUid);
    if (container !== undefined) container.removed = true;
    return container;
  }

  /** The cgroups of containers that were removed while records were lost. */
  *reconcile(): Iterable<Container> {
    this.#index.rescan();
    const living = new Set<string>();
    for (const path of this.#index.paths()) {
      const found = containerOfCgroup(path);
      if (found !== undefined) living.add(found.containerUid);
    }
    for (const container of [...this.#byUid.values()]) {
      if (living.has(container.containerUid) || this.#legacy) continue;
      container.removed = true;
      yield container;
    }
  }

  /** A record that is read late names a container that was deleted: it is known again. */
  remember(container: Container): void {
    this.#byUid.set(container.containerUid, container);
  }

  forget(container: Container): void {
    if (this.#byUid.get(container.containerUid) === container) {
      this.#byUid.delete(container.containerUid);
    }
  }

  #ofCgroup(cgroupId: number): Container | undefined {
    const known = this.#byCgroup.get(cgroupId);
    if (known !== undefined && !known?.removed) return known ?? undefined;
    const path = this.pathOf(cgroupId);
    if (path === undefined) return known ?? undefined;
    const container = this.#ofPaths([path]);
    this.#byCgroup.set(cgroupId, container ?? null);
    return container;
  }

  #ofLegacy(process: Process): Container | undefined {
    if (process.legacyKnown) return process.legacyContainer;
    process.legacyKnown = true;
    const paths = this.#procfs.readCgroups(process.pid, process.startTicks);
    if (paths !== undefined) process.legacyContainer = this.#ofPaths(paths);
    return process.legacyContainer;
  }

  #ofPaths(paths: readonly string[]): Container | undefined {
    for (const path of paths) {
      const found = containerOfCgroup(path);
      if (found === undefined) continue;
      let container = this.#byUid.get(found.containerUid);
      if (container === undefined) {
        container = new Container(found);
        this.#byUid.set(found.containerUid, container);
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
