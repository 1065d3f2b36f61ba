import { opendirSync, statSync } from 'node:fs';
import { readBounded, readLink } from './bounded-file.ts';
import { parseCgroupFile } from './cgroup-file.ts';
import { parseStat, type ProcessStat } from './stat.ts';

const DELETED = ' (deleted)';

/** A process as /proc shows it. Fields that could not be read are absent. */
export interface ProcessInfo extends ProcessStat {
  /** Path of the executable as the process sees it, without the kernel's " (deleted)" mark. */
  readonly exe?: string;
  /** Inode of the network namespace. */
  readonly netns?: number;
  /** Real user id. */
  readonly uid?: number;
  /** Its cgroups, see parseCgroupFile. */
  readonly cgroupPaths: readonly string[];
}

/** Readers of one /proc (the host's may be mounted elsewhere). No call throws; what vanished is undefined. */
export class ProcFs {
  readonly #root: string;

  constructor(root = '/proc') {
    this.#root = root;
  }

  /**
   * Reads one process, undefined when it is gone. Its start time is read before and after the rest: a pid that was
   * given to another process in between gives undefined rather than a mixture of two.
   */
  readProcess(pid: number): ProcessInfo | undefined {
    const directory = `${this.#root}/${pid}`;
    const before = this.#stat(directory);
    if (before === undefined) return undefined;
    const exe = this.#exe(directory);
    const netns = this.netnsOf(pid);
    const uid = parseUid(readBounded(`${directory}/status`));
    const cgroupPaths = this.#cgroups(directory);
    if (this.#stat(directory)?.startTicks !== before.startTicks) return undefined;
    return {
      ...before,
      cgroupPaths,
      ...(exe !== undefined && { exe }),
      ...(netns !== undefined && { netns }),
      ...(uid !== undefined && { uid }),
    };
  }

  /**
   * Its cgroups only, see parseCgroupFile; undefined when the process that started at `startTicks` is gone.
   */
  readCgroups(pid: number, startTicks: number): readonly string[] | undefined {
    const directory = `${this.#root}/${pid}`;
    const paths = this.#cgroups(directory);
    return this.#stat(directory)?.startTicks === startTicks ? paths : undefined;
  }

  /** Inode of a process's network namespace. */
  netnsOf(pid: number | 'self'): number | undefined {
    const inode = /^net:\[(\d{1,10})\]$/.exec(readLink(`${this.#root}/${pid}/ns/net`) ?? '')?.[1];
    return inode === undefined ? undefined : Number(inode);
  }

  /**
   * Inode of the host's network namespace: that of process 1. Reading it needs ptrace rights over process 1; an
   * ordinary user falls back to its own namespace, which is the host's wherever netstatd runs as it is deployed.
   */
  hostNetns(): number | undefined {
    return this.netnsOf(1) ?? this.netnsOf('self');
  }

  /** Pids that have a directory now, in no order; some will be gone when looked at. */
  *processes(): Iterable<number> {
    let directory;
    try {
      directory = opendirSync(this.#root);
    } catch {
      return;
    }
    try {
      for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
        if (/^[1-9]\d{0,9}$/.test(entry.name)) yield Number(entry.name);
      }
    } finally {
      directory.closeSync();
    }
  }

  /** The random id of this boot. */
  bootId(): string | undefined {
    return this.#line('sys/kernel/random/boot_id');
  }

  /** As `uname -r` prints it. */
  kernelRelease(): string | undefined {
    return this.#line('sys/kernel/osrelease');
  }

  /** Text of /proc/self/mountinfo. */
  mountinfo(): string {
    return readBounded(`${this.#root}/self/mountinfo`)?.toString('utf8') ?? '';
  }

  #stat(directory: string): ProcessStat | undefined {
    const bytes = readBounded(`${directory}/stat`);
    return bytes && parseStat(bytes);
  }

  #cgroups(directory: string): readonly string[] {
    return parseCgroupFile(readBounded(`${directory}/cgroup`)?.toString('utf8') ?? '');
  }

  #line(path: string): string | undefined {
    return readBounded(`${this.#root}/${path}`)?.toString('utf8').trim();
  }

  /** A file may really be called "x (deleted)": then the name leads to the very inode that is being executed. */
  #exe(directory: string): string | undefined {
    const exe = readLink(`${directory}/exe`);
    if (!exe?.endsWith(DELETED)) return exe;
    return sameFile(`${directory}/exe`, `${directory}/root${exe}`)
      ? exe
      : exe.slice(0, -DELETED.length);
  }
}

function parseUid(status: Buffer | undefined): number | undefined {
  // The name in the first line is escaped by the kernel, so that a line starting with "Uid:" is the real one.
  const uid = status && /^Uid:\t(\d{1,10})\t/m.exec(status.toString('latin1'))?.[1];
  return uid === undefined ? undefined : Number(uid);
}

function sameFile(one: string, other: string): boolean {
  try {
    const a = statSync(one);
    const b = statSync(other);
    return a.ino === b.ino && a.dev === b.dev;
  } catch {
    return false;
  }
}
