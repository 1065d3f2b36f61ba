import type { RuntimeContainer } from '@netstatd/containers';
import type { Announcer } from './announcer.ts';
import { askedPath, ownPath } from './cgroup-paths.ts';
import { Container } from './container.ts';
import type { Containers } from './containers.ts';
import type { Corrections } from './corrections.ts';
import type { Counters } from './counters.ts';
import type { Host } from './host.ts';
import type { ProcessSource } from './parts.ts';
import type { Pods } from './pods.ts';

/** Network namespaces whose addresses are read anew in one round. */
const REFRESH_MAX = 256;
/** Without any record to read, a removal is believed after this. */
const REMOVAL_WAIT_MS = 10_000;
/** Addresses of one pod that are told. */
const ADDRESSES_MAX = 64;

export interface DescriptionParts {
  readonly containers: Containers;
  readonly pods: Pods;
  readonly announcer: Announcer;
  readonly corrections: Corrections;
  readonly host: Host;
  readonly procfs: ProcessSource;
  readonly counters: Counters;
}

/** Takes what container runtimes tell and joins it with what /proc says of the processes they name. */
export class Descriptions {
  readonly #parts: DescriptionParts;
  /** Removed at the runtime, with the CLOCK_MONOTONIC nanoseconds at which that was told, oldest first. */
  readonly #removals = new Map<string, { readonly atNs: number; readonly until: number }>();
  #nowMs = 0;
  /** Start of the first process, for containers whose pid was found to be theirs. */
  readonly #starts = new Map<Container, number>();
  #toRefresh: Container[] = [];

  constructor(parts: DescriptionParts) {
    this.#parts = parts;
  }

  /** A container was made or is another than before. @param micros now, microseconds since 1970 */
  take(record: RuntimeContainer, micros: number): void {
    const { containers, pods, announcer, corrections } = this.#parts;
    this.#removals.delete(record.id);
    const container =
      containers.get(record.id) ??
      new Container({ containerUid: record.id, runtime: record.runtime });
    pods.remove(container);
    container.describe(record);
    containers.remember(container);
    this.#place(container, record);
    for (const changed of this.#locate(container)) {
      if (changed !== container) announcer.described(changed, micros);
    }
    if (announcer.described(container, micros)) corrections.add(container);
  }

  /**
   * A runtime knows no such container any more. What happened before is read first.
   * @param atNs now, CLOCK_MONOTONIC nanoseconds
   */
  remove(id: string, atNs: number): void {
    if (this.#parts.containers.get(id) === undefined) return;
    this.#removals.set(id, { atNs, until: this.#nowMs + REMOVAL_WAIT_MS });
  }

  /** No runtime knows a container that it was asked for: nothing waits for it. */
  unknown(id: string): void {
    const container = this.#parts.containers.get(id);
    if (container !== undefined) this.#parts.announcer.waiting.end(container);
  }

  /**
   * @param readNs CLOCK_MONOTONIC time up to which everything that happened has been read
   * @param nowMs monotonic time
   */
  settle(readNs: number, nowMs: number, micros: number): void {
    this.#nowMs = nowMs;
    for (const [id, { atNs, until }] of this.#removals) {
      if (atNs > readNs && until > nowMs) return;
      this.#removals.delete(id);
      const container = this.#parts.containers.get(id);
      if (container !== undefined) this.#removed(container, micros);
    }
  }

  /** Reads the addresses of some pods and containers anew; each comes round after a while. */
  refresh(micros: number): void {
    if (this.#toRefresh.length === 0) this.#toRefresh = [...this.#starts.keys()];
    for (const container of this.#toRefresh.splice(-REFRESH_MAX)) {
      if (!this.#starts.has(container)) continue;
      for (const changed of this.#locate(container)) {
        this.#parts.announcer.described(changed, micros);
      }
    }
  }

  #removed(container: Container, micros: number): void {
    const { announcer, pods } = this.#parts;
    container.forgotten = true;
    this.#starts.delete(container);
    const siblings = [...pods.siblings(container)].filter((one) => one !== container);
    pods.remove(container);
    announcer.waiting.end(container);
    announcer.containerRemoved(container, micros);
    const [sibling] = siblings;
    if (sibling === undefined) return;
    for (const changed of this.#locate(sibling)) announcer.described(changed, micros);
  }

  /** Learns the cgroups of a container, and whether its pid is what the runtime says. */
  #place(container: Container, record: RuntimeContainer): void {
    const { containers, procfs, corrections, counters, host } = this.#parts;
    const { pid, containerUid } = container;
    const { cgroupsPath } = record;
    container.usesHostNetwork = record.hostNetwork ?? container.usesHostNetwork;
    const process = pid === undefined ? undefined : procfs.readProcess(pid);
    const paths = (process?.cgroupPaths ?? []).flatMap(
      (path) => ownPath(path, containerUid, cgroupsPath) ?? [],
    );
    if (process === undefined || pid === undefined || paths.length === 0) {
      this.#starts.delete(container);
      // A pid that is not the container's (any more), or one whose cgroups nobody can tell from others.
      if (process !== undefined) counters.foreignPids++;
      const asked = record.state === 'exited' ? undefined : askedPath(cgroupsPath);
      if (asked) containers.paths.learn(asked, container);
      return;
    }
    this.#starts.set(container, process.startTicks);
    containers.root(container, pid, process.startTicks);
    const onHost = host.isHostNetns(process.netns);
    if (onHost !== undefined) container.usesHostNetwork = onHost;
    // What ran there already was not known to be in a container.
    for (const path of new Set(paths)) {
      if (containers.paths.learn(path, container)) corrections.reattribute();
    }
  }

  /**
   * Finds out the addresses of a container, and of all in its pod.
   * @returns the containers whose addresses are others than before
   */
  #locate(container: Container): Container[] {
    const { pods } = this.#parts;
    const all = [...pods.siblings(container)];
    const onHost = all.find(
      ({ usesHostNetwork }) => usesHostNetwork !== undefined,
    )?.usesHostNetwork;
    const addresses = onHost ? [] : this.#addressesOf(all);
    pods.setAddresses(container, addresses);
    return all.filter((one) => {
      one.usesHostNetwork ??= onHost;
      const told = one.podIPs?.join() ?? null;
      if (onHost) one.podIPs = [];
      else if (addresses.length > 0) one.podIPs = addresses;
      else if (one.record?.state !== 'running') one.podIPs = undefined;
      return told !== (one.podIPs?.join() ?? null);
    });
  }

  /** What the runtime recorded first, then what the network namespace of one of them has. */
  #addressesOf(containers: readonly Container[]): readonly string[] {
    const running = containers.filter(({ record }) => record?.state === 'running');
    const addresses = new Set(running.flatMap(({ record }) => record?.podIPs ?? []));
    for (const one of running) {
      const found = this.#inNetns(one);
      for (const ip of found) if (addresses.size < ADDRESSES_MAX) addresses.add(ip);
      if (found.length > 0) break;
    }
    return [...addresses];
  }

  #inNetns(container: Container): readonly string[] {
    const { pid } = container;
    const startTicks = this.#starts.get(container);
    if (pid === undefined || startTicks === undefined) return [];
    // Unreadable is not the same as its own: the host's addresses must never become a pod's.
    if (container.usesHostNetwork !== false) return [];
    const found = this.#parts.procfs.addressesOf(pid);
    return this.#parts.procfs.readCgroups(pid, startTicks) === undefined ? [] : found;
  }
}
