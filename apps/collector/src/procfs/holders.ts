import type { CgroupIndex, ProcFs, ProcessInfo } from '@netstatd/procfs';

/** Descriptors looked at in one search. */
const DESCRIPTORS_MAX = 1_000_000;
const TICK_NS = 1e7;

/** A process that has a descriptor of a socket. */
export interface Holder extends ProcessInfo {
  /** Start since boot, to the tick. */
  readonly startNs: number;
  /** Of the unified hierarchy; 0 when it is not known. */
  readonly cgroupId: number;
}

/** Finds who holds sockets, as far as this process may look into others. */
export class Holders {
  readonly #procfs: ProcFs;
  readonly #cgroups: CgroupIndex;

  constructor(procfs: ProcFs, cgroups: CgroupIndex) {
    this.#procfs = procfs;
    this.#cgroups = cgroups;
  }

  /**
   * The oldest of the processes that hold each of the wanted sockets, by inode: children inherit what their parents
   * opened. Sockets whose holders may not be seen are left out.
   */
  find(wanted: ReadonlySet<number>, pids: Iterable<number>): Map<number, Holder> {
    const found = new Map<number, Holder>();
    let left = DESCRIPTORS_MAX;
    for (const pid of wanted.size === 0 ? [] : pids) {
      let holder: Holder | undefined;
      for (const { inode, fd } of this.#procfs.socketsOf(pid)) {
        if (left-- === 0) return found;
        if (!wanted.has(inode)) continue;
        holder ??= this.#read(pid);
        // Still there: it is this very process, and not an earlier one of the same pid, that holds it.
        if (holder === undefined || !this.#procfs.holds(pid, fd, inode)) continue;
        const other = found.get(inode);
        if (other === undefined || isOlder(holder, other)) found.set(inode, holder);
      }
    }
    return found;
  }

  #read(pid: number): Holder | undefined {
    const process = this.#procfs.readProcess(pid);
    if (process === undefined) return undefined;
    const path = this.#procfs.unifiedCgroupOf(pid);
    const cgroupId = path === undefined ? undefined : this.#cgroups.idOf(path);
    return { ...process, startNs: process.startTicks * TICK_NS, cgroupId: cgroupId ?? 0 };
  }
}

function isOlder(one: Holder, other: Holder): boolean {
  return (one.startTicks - other.startTicks || one.pid - other.pid) < 0;
}
