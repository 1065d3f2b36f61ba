import type { ProcFs } from '@netstatd/procfs';

/** Network namespaces read in a poll; a node has one per pod. */
const NAMESPACES_MAX = 1024;
/** Processes by which a namespace can be read, should one end meanwhile. */
const PROCESSES_EACH = 3;

export interface Namespace {
  /** ProcFs.netKeyOf its processes. */
  readonly key: number;
  /** Its inode, which only the owner of one of its processes may read; 0 when that is not known. */
  netns: number;
  readonly pids: number[];
}

/** The network namespaces that processes are in. */
export class Namespaces {
  /** Left out of the last poll for want of room. */
  skipped = 0;
  readonly #procfs: ProcFs;
  /** By key. */
  #known = new Map<number, number>();

  constructor(procfs: ProcFs) {
    this.#procfs = procfs;
  }

  of(pids: Iterable<number>): Namespace[] {
    const found = new Map<number, Namespace>();
    const skipped = new Set<number>();
    for (const pid of pids) {
      const key = this.#procfs.netKeyOf(pid);
      if (key === undefined) continue;
      let namespace = found.get(key);
      if (namespace === undefined) {
        if (found.size >= NAMESPACES_MAX) {
          skipped.add(key);
          continue;
        }
        namespace = { key, netns: this.#known.get(key) ?? 0, pids: [] };
        found.set(key, namespace);
      }
      if (namespace.pids.length < PROCESSES_EACH) namespace.pids.push(pid);
      if (namespace.netns === 0) namespace.netns = this.#inode(pid, key);
    }
    this.skipped = skipped.size;
    this.#known = new Map([...found.values()].map(({ key, netns }) => [key, netns]));
    return [...found.values()];
  }

  #inode(pid: number, key: number): number {
    const inode = this.#procfs.netnsOf(pid) ?? 0;
    // It may have gone to another namespace in between.
    return this.#procfs.netKeyOf(pid) === key ? inode : 0;
  }
}
