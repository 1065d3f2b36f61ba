import type { Chunk, ChunkListener } from '@netstatd/capture';
import { netTables, PROCFS_MISSES, type CgroupIndex, type ProcFs } from '@netstatd/procfs';
import { BatchWriter, encodeMark, MarkKind, ProcessKind } from '@netstatd/records';
import { chunksOf } from '../chunks.ts';
import type { LiveSource, SourceStats } from '../source.ts';
import { Holders, type Holder } from './holders.ts';
import { Namespaces } from './namespaces.ts';
import {
  closedRecord,
  establishedRecord,
  openedRecord,
  ownedRecord,
  processRecord,
  snapshotRecord,
} from './records.ts';
import { SocketTable } from './socket-table.ts';
import { IPPROTO_TCP, IPPROTO_UDP, type TrackedSocket } from './tracked-socket.ts';

/**
 * Polls take at most some 5 % of a CPU's time, within reason. Most of their cost is the kernel's, which walks its
 * whole table of connections for each namespace.
 */
const REST_FOR_COST = 20;
const PAUSE_MAX_MS = 30_000;
/** Processes looked at in a poll. */
const PROCESSES_MAX = 32_768;
/** Searches for the owner of a socket: at first its descriptor may not be there yet. */
const SEARCHES_MAX = 2;
/** What Linux chooses ports from unless told otherwise. */
const DEFAULT_EPHEMERAL = [32_768, 60_999] as const;

export interface ProcfsSourceOptions {
  readonly procfs: ProcFs;
  readonly cgroups: CgroupIndex;
  readonly loopback: boolean;
  readonly udp: boolean;
  /** Between two polls, at least. */
  readonly pollMs: number;
  /** How many times its own CPU time a poll is followed by rest, whatever `pollMs` says. */
  readonly restForCost?: number;
  /** The collector's own clock: CLOCK_MONOTONIC nanoseconds. */
  readonly nowNs?: () => bigint;
}

/** Reads sockets and their owners from /proc again and again, where the kernel cannot be asked to tell. */
export class ProcfsSource implements LiveSource {
  readonly headroom = BatchWriter.headroom;
  readonly #options: ProcfsSourceOptions;
  readonly #table: SocketTable;
  readonly #namespaces: Namespaces;
  readonly #holders: Holders;
  /** Owners that were told of, by pid. */
  readonly #told = new Map<number, Holder>();
  readonly #counts = { polls: 0, pollMillis: 0, pauseMillis: 0, unread: 0 };
  #listener: ChunkListener | undefined;
  #timer: NodeJS.Timeout | undefined;
  #begun = false;

  constructor(options: ProcfsSourceOptions) {
    const { procfs, cgroups, loopback } = options;
    this.#options = options;
    this.#namespaces = new Namespaces(procfs);
    this.#holders = new Holders(procfs, cgroups);
    const ephemeral = procfs.ephemeralPorts() ?? DEFAULT_EPHEMERAL;
    this.#table = new SocketTable({ loopback, ephemeral });
  }

  captureKinds(): Record<string, string> {
    return {
      source: 'procfs',
      missed: PROCFS_MISSES.join(', '),
      tcp: '/proc/net/tcp',
      accept: 'unsupported',
      listen: '/proc/net/tcp',
      failedConnect: 'unsupported',
      udp: this.#options.udp ? '/proc/net/udp' : 'off',
      processes: '/proc',
      snapshot: '/proc',
    };
  }

  start(listener: ChunkListener): void {
    this.#listener = listener;
    this.#schedule();
  }

  snapshot(): Chunk[] {
    const before = this.#begun ? this.#poll() : [];
    const beginNs = this.#nowNs();
    if (!this.#begun) this.#poll();
    const timeNs = this.#nowNs();
    const sockets = [...this.#table.values()];
    const owners = new Set(sockets.flatMap(({ owner }) => owner ?? []));
    const counts = { sockets: sockets.length, processes: owners.size };
    return chunksOf([
      ...before,
      encodeMark({ kind: MarkKind.SNAPSHOT_BEGIN, timeNs: beginNs }),
      ...[...owners].map((owner) => processRecord(owner, timeNs, ProcessKind.EXISTS)),
      ...sockets.map((socket) => snapshotRecord(socket, timeNs)),
      encodeMark({ kind: MarkKind.SNAPSHOT_END, timeNs }, counts),
    ]);
  }

  /** Flows are sockets here: they end with them. */
  sweepFlows(): number {
    return 0;
  }

  stats(): SourceStats {
    const { skipped } = this.#table;
    return {
      lost: [],
      ...this.#counts,
      sockets: this.#table.size,
      socketsSkipped: skipped,
      namespacesSkipped: this.#namespaces.skipped,
    };
  }

  wallOffsetNs(): bigint {
    return BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#listener = undefined;
  }

  #schedule(): void {
    const { pollMs, restForCost = REST_FOR_COST } = this.#options;
    const rest = this.#counts.pollMillis * restForCost;
    const pause = Math.max(pollMs, Math.min(rest, PAUSE_MAX_MS));
    this.#counts.pauseMillis = pause;
    this.#timer = setTimeout(() => {
      for (const { buffer, payloadBytes, records } of chunksOf(this.#poll())) {
        this.#listener?.(buffer, payloadBytes, records);
      }
      if (this.#listener) this.#schedule();
    }, pause);
  }

  /** Looks at everything once; returns records of what has changed. */
  #poll(): Uint8Array[] {
    const before = process.cpuUsage();
    const { procfs } = this.#options;
    const pids: number[] = [];
    for (const pid of procfs.processes()) if (pids.push(pid) >= PROCESSES_MAX) break;
    this.#table.begin();
    const unread = this.#readTables(pids);
    const { opened, established, closed } = this.#table.end(unread);
    const owned = this.#findOwners(pids);
    const timeNs = this.#nowNs();
    const late = owned.filter((socket) => socket.searches > 1);
    // Ends are dated before beginnings: a socket may have become another connection.
    const records = [
      ...this.#processes(pids, owned, timeNs),
      ...closed.map((socket) => closedRecord(socket, timeNs - 1)),
      ...listenersFirst(opened).map((socket) => openedRecord(socket, timeNs)),
      ...established.map((socket) => establishedRecord(socket, timeNs)),
      ...late.flatMap((socket) => ownedRecord(socket, timeNs) ?? []),
    ];
    this.#begun = true;
    this.#counts.polls++;
    this.#counts.unread = unread.size;
    const { user, system } = process.cpuUsage(before);
    this.#counts.pollMillis = Math.ceil((user + system) / 1000);
    return records;
  }

  /** @returns keys of the namespaces that could not be read whole */
  #readTables(pids: readonly number[]): Set<number> {
    const { procfs, udp } = this.#options;
    const unread = new Set<number>();
    for (const { key, netns, pids: members } of this.#namespaces.of(pids)) {
      for (const table of netTables) {
        const protocol = table.startsWith('tcp') ? IPPROTO_TCP : IPPROTO_UDP;
        if (protocol === IPPROTO_UDP && !udp) continue;
        const whole = members.some((pid) =>
          procfs.readNetTable(pid, table, key, (row) => {
            this.#table.take(row, protocol, key, netns);
          }),
        );
        if (!whole) unread.add(key);
      }
    }
    return unread;
  }

  /** Gives sockets their owners, once; returns those that have got theirs in this poll. */
  #findOwners(pids: readonly number[]): TrackedSocket[] {
    const without: TrackedSocket[] = [];
    for (const socket of this.#table.values()) {
      const seen = socket.missed === 0 && socket.searches < SEARCHES_MAX;
      if (seen && socket.owner === undefined) without.push(socket);
    }
    const found = this.#holders.find(new Set(without.map(({ inode }) => inode)), pids);
    return without.filter((socket) => {
      socket.searches++;
      socket.owner = found.get(socket.inode);
      return socket.owner !== undefined;
    });
  }

  /** Owners that are new or have become something else, and those that have ended. */
  #processes(pids: readonly number[], owned: TrackedSocket[], timeNs: number): Uint8Array[] {
    const records: Uint8Array[] = [];
    const living = new Set(pids);
    for (const [pid, process] of this.#told) {
      if (living.has(pid)) continue;
      this.#told.delete(pid);
      records.push(processRecord(process, timeNs, ProcessKind.EXITED));
    }
    for (const { owner } of owned) {
      if (owner === undefined) continue;
      const told = this.#told.get(owner.pid);
      const same = told?.startNs === owner.startNs && told.exe === owner.exe;
      if (same && told.comm === owner.comm && told.cgroupId === owner.cgroupId) continue;
      this.#told.set(owner.pid, owner);
      records.push(processRecord(owner, timeNs, ProcessKind.EXISTS));
    }
    return records;
  }

  #nowNs(): number {
    return Number((this.#options.nowNs ?? process.hrtime.bigint)());
  }
}

/** They tell the direction of connections. */
function listenersFirst(sockets: readonly TrackedSocket[]): TrackedSocket[] {
  const isListener = ({ role }: TrackedSocket) => role === 'listener';
  return [...sockets.filter(isListener), ...sockets.filter((socket) => !isListener(socket))];
}
