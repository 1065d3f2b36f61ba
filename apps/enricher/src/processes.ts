import { ProcessKind, type ProcessView } from '@netstatd/records';
import { BoundedMap } from './bounded-map.ts';
import type { Limits } from './limits.ts';
import type { ProcessSource } from './parts.ts';
import { Process } from './process.ts';
import { useOf, type TableUse } from './table.ts';

/**
 * Every process of the node by pid, as the kernel tells of forks, execs and exits. Those that ended are remembered
 * for a while, because records that name them may be read later; sockets hold on to theirs for as long as they live.
 */
export class Processes {
  readonly #procfs: ProcessSource;
  readonly #living: BoundedMap<number, Process>;
  readonly #exited: BoundedMap<number, Process>;
  /** Owners that no process record told of. */
  discovered = 0;
  /** Processes whose executable nobody could tell. */
  unnamed = 0;

  constructor(procfs: ProcessSource, limits: Pick<Limits, 'processes' | 'exited'>) {
    this.#procfs = procfs;
    // One that comes back is announced again.
    this.#living = new BoundedMap(limits.processes, (process) => (process.announced = false));
    this.#exited = new BoundedMap(limits.exited);
  }

  get size(): number {
    return this.#living.size;
  }
  get evicted(): number {
    return this.#living.evicted;
  }
  tables(): TableUse[] {
    return [useOf('processes', this.#living), useOf('exited', this.#exited)];
  }
  living(): IterableIterator<Process> {
    return this.#living.values();
  }

  /** The living process of a pid. */
  get(pid: number): Process | undefined {
    return this.#living.get(pid);
  }

  /** A process as /proc shows it now; it is not remembered. */
  read(pid: number): Process | undefined {
    const startTicks = this.#procfs.readProcess(pid)?.startTicks;
    if (startTicks === undefined) return undefined;
    const process = new Process(pid, startTicks * 1e7);
    return this.#readProc(process) || process.comm !== undefined ? process : undefined;
  }

  /** The process that owns a socket, by its identity; see `name` for one that no record told of. */
  owner(pid: number, startNs: number): Process {
    const living = this.#living.get(pid);
    if (living?.startNs === startNs) return living;
    const exited = this.#exited.get(pid);
    if (exited?.startNs === startNs) return exited;
    const process = new Process(pid, startNs);
    if (living !== undefined && living.startNs > startNs) {
      // A younger one has the pid now: this one has ended.
      this.#retire(process);
      return process;
    }
    if (living !== undefined) this.exit(living);
    this.#living.set(pid, process);
    this.discovered++;
    return process;
  }

  /** Looks in /proc, once, for an executable that records did not tell. */
  name(process: Process): void {
    if (process.exe !== undefined || process.nameSought) return;
    process.nameSought = true;
    if (process.exited || !this.#readProc(process)) this.unnamed++;
  }

  /**
   * Takes in a process record.
   * @returns the process, when what clients know of it may have changed
   */
  take(kind: number, view: ProcessView, timeNs: number, snapshot: number): Process | undefined {
    const { pid, startNs } = view;
    if (kind === ProcessKind.EXITED) {
      const process = this.#living.get(pid);
      if (process?.startNs === startNs) this.exit(process);
      return undefined;
    }
    let process = this.#living.get(pid);
    if (process?.startNs !== startNs) {
      const late = this.#exited.get(pid)?.startNs === startNs || (process?.startNs ?? 0) > startNs;
      // A record from before a snapshot that showed the process gone.
      if (late) return undefined;
      if (process !== undefined) this.exit(process);
      process = new Process(pid, startNs);
      this.#living.set(pid, process);
    } else if (timeNs < process.timeNs) {
      return undefined;
    }
    process.timeNs = timeNs;
    if (kind === ProcessKind.EXISTS) process.seen = snapshot;
    return this.#update(process, kind, view) && process.announced ? process : undefined;
  }

  /** Those that a snapshot begun at `beginNs` did not show have ended unnoticed. */
  reconcile(snapshot: number, beginNs: number): void {
    for (const process of this.#living.values()) {
      if (process.seen !== snapshot && process.timeNs < beginNs) this.exit(process);
    }
  }

  exit(process: Process): void {
    this.#living.delete(process.pid);
    this.#retire(process);
  }

  #retire(process: Process): void {
    process.exited = true;
    if (process.sockets === 0) process.announced = false;
    this.#exited.delete(process.pid);
    this.#exited.set(process.pid, process);
  }

  #update(process: Process, kind: number, view: ProcessView): boolean {
    const { exe, comm, cgroupId } = process;
    process.ppid = view.ppid;
    process.comm = view.comm;
    process.netns = view.netns;
    process.cgroupId = view.cgroupId;
    if (kind === ProcessKind.FORKED) this.#inherit(process);
    else process.exe = view.exe;
    // What the parent's container was still holds until /proc says otherwise.
    if (kind === ProcessKind.EXECUTED) process.containerVersion = -1;
    process.nameSought = false;
    return process.exe !== exe || process.comm !== comm || process.cgroupId !== cgroupId;
  }

  /** A new process executes what its parent did when it forked. */
  #inherit(child: Process): void {
    const parent = this.#living.get(child.ppid ?? 0);
    if (parent !== undefined) child.bornOf(parent);
  }

  #readProc(process: Process): boolean {
    const found = this.#procfs.readProcess(process.pid);
    if (found?.startTicks !== process.startTicks) return false;
    process.ppid ??= found.ppid;
    process.comm ??= found.comm;
    process.exe = found.exe;
    process.netns ??= found.netns;
    return process.exe !== undefined;
  }
}
