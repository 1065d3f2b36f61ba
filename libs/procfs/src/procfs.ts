import { opendirSync, statSync, type Dir } from 'node:fs';
import { readBounded, readLink } from './bounded-file.ts';
import { parseCgroupFile, unifiedCgroup } from './cgroup-file.ts';
import { readLines } from './lines.ts';
import { parseNetLine, type NetRow, type NetTable } from './net-table.ts';
import { NetnsAddressReader, type NetnsAddresses } from './netns-addresses.ts';
import { parseStat, type ProcessStat } from './stat.ts';

const DELETED = ' (deleted)';

/** A table of sockets is read so far and no further: some 400,000 sockets. */
const TABLE_MAX_BYTES = 64 << 20;

/** Routes are read so far: some 30,000, local ones among them. */
const ROUTES_MAX_BYTES = 4 << 20;

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

  /** Addresses of a process's network namespace, loopback's and those of one link left out; nothing when it is gone. */
  addressesOf(pid: number | 'self'): readonly string[] {
    return this.netnsAddresses(pid).addresses;
  }

  /** All addresses of a process's network namespace, read without entering it. Any user may read them. */
  netnsAddresses(pid: number | 'self'): NetnsAddresses {
    const reader = new NetnsAddressReader();
    const net = `${this.#root}/${pid}/net`;
    const always = () => true;
    readLines(`${net}/fib_trie`, ROUTES_MAX_BYTES, always, (line) => reader.fibTrieLine(line));
    readLines(`${net}/if_inet6`, ROUTES_MAX_BYTES, always, (line) => reader.ifInet6Line(line));
    return reader.result;
  }

  /**
   * What tells network namespaces apart for any user, who may not read most processes' ns/net: each has a
   * /proc/<pid>/net/tcp of its own, of which this is the inode.
   */
  netKeyOf(pid: number): number | undefined {
    try {
      return statSync(`${this.#root}/${pid}/net/tcp`).ino;
    } catch {
      return undefined;
    }
  }

  /**
   * The sockets in one table of a process's network namespace, if that is still the one with this key. It is read
   * piece by piece while sockets come and go: one may be listed twice, or not at all.
   * @returns whether it was read to its end
   */
  readNetTable(
    pid: number,
    table: NetTable,
    netKey: number,
    onRow: (row: NetRow) => void,
  ): boolean {
    const path = `${this.#root}/${pid}/net/${table}`;
    const onLine = (line: string) => {
      const row = parseNetLine(line);
      if (row !== undefined) onRow(row);
    };
    const mine = () => this.netKeyOf(pid) === netKey;
    return readLines(path, TABLE_MAX_BYTES, mine, onLine);
  }

  /** Inodes of the sockets that a process has descriptors of, and the descriptors; nothing without the rights. */
  *socketsOf(pid: number): Iterable<{ inode: number; fd: string }> {
    const path = `${this.#root}/${pid}/fd`;
    for (const fd of names(path)) {
      const inode = socketInode(readLink(`${path}/${fd}`));
      if (inode !== undefined) yield { inode, fd };
    }
  }

  /** Whether a process still has that descriptor of that socket. */
  holds(pid: number, fd: string, inode: number): boolean {
    return socketInode(readLink(`${this.#root}/${pid}/fd/${fd}`)) === inode;
  }

  /** Path of a process's cgroup in the unified hierarchy, "/" for its root. */
  unifiedCgroupOf(pid: number): string | undefined {
    return unifiedCgroup(readBounded(`${this.#root}/${pid}/cgroup`)?.toString('utf8') ?? '');
  }

  /** Ports that the kernel chooses from for sockets that ask for none, both included. */
  ephemeralPorts(): readonly [number, number] | undefined {
    const [, from, to] =
      /^(\d{1,5})\s+(\d{1,5})$/.exec(this.#line('sys/net/ipv4/ip_local_port_range') ?? '') ?? [];
    return from === undefined ? undefined : [Number(from), Number(to)];
  }

  /** Pids that have a directory now, in no order; some will be gone when looked at. */
  *processes(): Iterable<number> {
    for (const name of names(this.#root)) {
      if (/^[1-9]\d{0,9}$/.test(name)) yield Number(name);
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

/** Names in a directory, one by one; none when it may not be read. */
function* names(path: string): Iterable<string> {
  let directory: Dir;
  try {
    directory = opendirSync(path);
  } catch {
    return;
  }
  try {
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      yield entry.name;
    }
  } catch {
    // Its process has ended meanwhile.
  } finally {
    directory.closeSync();
  }
}

function socketInode(link: string | undefined): number | undefined {
  const inode = link && /^socket:\[(\d{1,15})\]$/.exec(link)?.[1];
  return inode ? Number(inode) : undefined;
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
