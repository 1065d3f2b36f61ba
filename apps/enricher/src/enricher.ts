import type { RuntimeContainer } from '@netstatd/containers';
import { makeRow } from '@netstatd/events';
import type { CgroupIndex } from '@netstatd/procfs';
import {
  BatchReader,
  CgroupKind,
  MarkKind,
  RecordFlag,
  RecordType,
  SocketKind,
} from '@netstatd/records';
import { Announcer, type Emit } from './announcer.ts';
import { Connections } from './connections.ts';
import { Containers } from './containers.ts';
import { Corrections } from './corrections.ts';
import { Counters } from './counters.ts';
import { Cursor, type Loss } from './cursor.ts';
import { Descriptions } from './descriptions.ts';
import { Flows } from './flows.ts';
import type { Host } from './host.ts';
import { defaultLimits, type Limits } from './limits.ts';
import type { Listener } from './listener.ts';
import { Listeners } from './listeners.ts';
import { NetnsAddresses } from './netns-addresses.ts';
import { Owners } from './owners.ts';
import type { ProcessSource, RecordMoment } from './parts.ts';
import { Pods } from './pods.ts';
import { Processes } from './processes.ts';
import { ReadClock } from './read-clock.ts';
import { Resync, type Waits } from './resync.ts';
import type { RuntimeSource } from './runtime-source.ts';
import type { TableUse } from './table.ts';

const LOOK_MS = 2_000;
/** What no event told of is found by a snapshot after at most so long. */
const RECONCILE_MS = 60_000;

export interface EnricherOptions {
  /** Takes each finished row. */
  readonly emit: Emit;
  /** Asks the collector for a snapshot in the raw stream. */
  readonly requestResync: (reason: string) => void;
  /** Between two of these. */
  readonly waits: Waits;
  readonly host: Host;
  readonly procfs: ProcessSource;
  readonly cgroups: CgroupIndex;
  /** Whether hierarchies of cgroup v1 are in use. */
  readonly legacyCgroups: boolean;
  /** How long an inbound connection waits for its owner. */
  readonly acceptWaitMs: number;
  /** How long what names a container waits for its description, while a runtime is followed. */
  readonly containerWaitMs?: number;
  /** Asked for containers; what it tells comes through `describe`, `undescribe` and `unknownContainer`. */
  readonly runtime?: RuntimeSource;
  /** Name of this node, as it stands in events. */
  readonly node?: string;
  readonly limits?: Partial<Limits>;
  /** The records are those of a recording, and no others: the clock and the host are the recording's. */
  readonly replay?: boolean;
}

/**
 * The state of the node, and the only place that has any: raw records in, events out. It has no clock and no
 * connections of its own, it is driven by `read` and `tick`.
 */
export class Enricher {
  readonly counters = new Counters();
  readonly processes: Processes;
  readonly containers: Containers;
  readonly listeners: Listeners;
  readonly connections: Connections;
  readonly flows: Flows;
  readonly announcer: Announcer;
  readonly host: Host;
  readonly pods: Pods;
  readonly #descriptions: Descriptions;
  readonly #corrections = new Corrections();
  readonly #runtime: RuntimeSource | undefined;
  readonly #emit: Emit;
  readonly #replay: boolean;
  readonly #reader = new BatchReader();
  readonly #cursor = new Cursor();
  readonly #clock = new ReadClock();
  readonly #resync: Resync;
  #playedMicros = 0;
  #lookAtMs = 0;
  /** Ports whose owner had ended at the last look. */
  #outlived: readonly Listener[] = [];
  #reconcileAtMs = Infinity;
  /** Of the record at hand: one object, written over for each. */
  readonly #moment: RecordMoment = { flags: 0, micros: 0, timeNs: 0 };

  constructor(options: EnricherOptions) {
    const { emit, host, procfs, cgroups, legacyCgroups, runtime } = options;
    const { counters } = this;
    const limits = { ...defaultLimits, ...options.limits };
    this.#emit = emit;
    this.#replay = options.replay ?? false;
    this.host = host;
    this.processes = new Processes(procfs, limits);
    this.#runtime = runtime;
    const pods = (this.pods = new Pods(options.node));
    host.houses(pods);
    const containers = new Containers(cgroups, procfs, legacyCgroups, limits, pods, (evicted) =>
      this.announcer.containerRemoved(evicted, this.nowMicros),
    );
    this.containers = containers;
    const patience = { waitMs: options.containerWaitMs ?? 0, maxRows: limits.waitingRows };
    const announcer = new Announcer({ emit, containers, host, counters, patience, runtime });
    this.announcer = announcer;
    this.#descriptions = new Descriptions({
      ...{ containers, pods, announcer, host, procfs, counters },
      corrections: this.#corrections,
    });
    const owners = new Owners(this.processes, announcer);
    const netns = new NetnsAddresses(procfs, host);
    this.listeners = new Listeners({ announcer, owners, host, netns, counters }, limits);
    const parts = { announcer, owners, listeners: this.listeners, host, counters };
    this.connections = new Connections(parts, limits, options.acceptWaitMs);
    this.flows = new Flows(parts, limits);
    this.#resync = new Resync((reason) => {
      counters.resyncRequests++;
      options.requestResync(reason);
    }, options.waits);
  }

  /** Whether nothing that is known to be lost is still to be made up for. */
  get synced(): boolean {
    return this.#resync.synced;
  }

  /** Microseconds since 1970: of the last batch when a recording is played, else now. */
  get nowMicros(): number {
    return this.#replay ? this.#playedMicros : Date.now() * 1000;
  }

  /** Reads a batch of raw records. @param nowMs monotonic time */
  read(payload: Uint8Array, nowMs: number): void {
    const reader = this.#reader;
    const { counters } = this;
    if (reader.load(payload) !== undefined) {
      counters.badBatches++;
      this.#resync.lost('malformed batch', true);
      return;
    }
    if (reader.replayed !== this.#replay) {
      counters.foreignBatches++;
      return;
    }
    const { stale, losses } = this.#cursor.step(reader);
    if (stale) {
      counters.staleBatches++;
      return;
    }
    counters.batches++;
    this.announcer.waiting.expire(nowMs);
    this.#corrections.send(this, this.nowMicros);
    if (this.#replay) this.#playedMicros = reader.wallMicros(reader.readNs);
    // Only the kernel may have lost records while the snapshot in this very batch was taken.
    const clean = !losses.some(({ place }) => place === 'kernel');
    for (const loss of losses) this.#lost(loss);
    let read = 0;
    while (reader.next()) {
      read++;
      this.#record(nowMs, clean);
    }
    if (reader.error !== undefined) {
      counters.badBatches++;
      const dropped = Math.max(0, reader.records - read);
      this.#lost({ place: 'bus', dropped });
    }
    this.connections.release(this.#clock.nowNs(nowMs));
  }

  /** Does what time alone calls for; to be called every few milliseconds. @param nowMs monotonic time */
  tick(nowMs: number): void {
    this.#reconcile(nowMs);
    const readNs = this.#clock.nowNs(nowMs);
    this.connections.release(readNs);
    this.#descriptions.settle(readNs, nowMs, this.nowMicros);
    this.announcer.waiting.expire(nowMs);
    this.#corrections.send(this, this.nowMicros);
    if (!this.#resync.tick(nowMs, readNs)) return;
    this.connections.settle();
    this.flows.settle();
    this.listeners.settle();
  }

  /** A runtime describes a container, the first time or anew. */
  describe(container: RuntimeContainer): void {
    this.#descriptions.take(container, this.nowMicros);
  }

  /** A runtime knows no such container any more. @param atNs now, CLOCK_MONOTONIC nanoseconds */
  undescribe(id: string, atNs: number): void {
    this.#descriptions.remove(id, atNs);
  }

  /** A container that was asked for is not known to any runtime. */
  unknownContainer(id: string): void {
    this.#descriptions.unknown(id);
  }

  /** Reads the addresses of pods anew; to be called every few seconds. */
  refreshPods(): void {
    this.#descriptions.refresh(this.nowMicros);
  }

  /** How much is remembered, and what had to be forgotten for want of room. */
  gauges(): Record<string, number> {
    const { connections, flows, processes, containers, listeners } = this;
    const { size: waitingRows } = this.announcer.waiting;
    const sizes: Record<string, number> = { held: connections.held, waitingRows };
    for (const [name, table] of Object.entries({
      ...{ connections, flows, processes, containers, listeners },
    })) {
      sizes[name] = table.size;
      sizes[`${name}Evicted`] = table.evicted;
    }
    return sizes;
  }

  /** Every bounded table. */
  tables(): TableUse[] {
    const { connections, flows, processes, containers, listeners } = this;
    return [connections, flows, processes, containers, listeners].flatMap((each) => each.tables());
  }

  #record(nowMs: number, clean: boolean): void {
    const reader = this.#reader;
    const { type, flags, timeNs } = reader;
    const moment = this.#moment;
    moment.flags = flags;
    moment.timeNs = timeNs;
    moment.micros = reader.wallMicros(timeNs);
    if (type === RecordType.MARK) {
      this.#mark(nowMs, clean);
      return;
    }
    if (!(flags & RecordFlag.SNAPSHOT)) this.#clock.read(timeNs, nowMs);
    if (type === RecordType.SOCKET) this.#socket();
    else if (type === RecordType.PROCESS) this.#process();
    else if (type === RecordType.CGROUP) this.#cgroup();
    // On the machine itself more is known, and newer.
    else if (this.#replay && !this.host.learn(reader.host.facts)) this.counters.unknownKinds++;
  }

  #socket(): void {
    const { kind, socket } = this.#reader;
    const moment = this.#moment;
    this.counters.socketRecords++;
    if (moment.flags & RecordFlag.SNAPSHOT) this.#resync.count();
    switch (kind) {
      case SocketKind.LISTENING:
      case SocketKind.UNLISTENED:
      case SocketKind.BOUND:
      case SocketKind.UNBOUND:
        this.listeners.take(kind, socket, moment, this.#resync.number);
        break;
      case SocketKind.FLOW_OPENED:
      case SocketKind.FLOW_CLOSED:
        this.flows.take(kind, socket, moment, this.#resync.number);
        break;
      case SocketKind.OPEN:
        this.connections.show(socket, moment, this.#resync.number);
        break;
      default:
        this.connections.take(kind, socket, moment);
    }
  }

  #process(): void {
    this.counters.processRecords++;
    const { kind, process } = this.#reader;
    const { timeNs, micros } = this.#moment;
    const changed = this.processes.take(kind, process, timeNs, this.#resync.number);
    if (changed === undefined) return;
    // What names it goes on naming it; otherwise it is announced again when something does.
    if (changed.sockets > 0) this.announcer.process(changed, micros);
    else changed.announced = false;
  }

  #cgroup(): void {
    this.counters.cgroupRecords++;
    const { kind, cgroup } = this.#reader;
    if (kind === CgroupKind.MADE) {
      const unknown = this.containers.made(cgroup.cgroupId, cgroup.tail);
      if (unknown !== undefined && this.#runtime?.following) this.#runtime.ask(unknown);
    } else if (kind === CgroupKind.REMOVED) {
      const container = this.containers.removed(cgroup.cgroupId, cgroup.tail);
      if (container?.removed) this.announcer.containerRemoved(container, this.#moment.micros);
    } else {
      this.counters.unknownKinds++;
    }
  }

  /** Compares with what is there, now and then and when a port has outlived its owner. */
  #reconcile(nowMs: number): void {
    if (nowMs < this.#lookAtMs || this.#replay) return;
    this.#lookAtMs = nowMs + LOOK_MS;
    // A process closes its sockets a moment after it has ended.
    const before = this.#outlived;
    this.#outlived = this.listeners.outlived();
    const lasting = this.#outlived.filter((listener) => before.includes(listener));
    for (const listener of lasting) listener.holderSought = true;
    if (lasting.length > 0) this.#resync.check('a port has outlived its owner');
    else if (nowMs >= this.#reconcileAtMs) this.#resync.check('reconciliation');
  }

  #mark(nowMs: number, clean: boolean): void {
    const { kind, mark } = this.#reader;
    const { timeNs, micros } = this.#moment;
    this.#clock.start(timeNs, nowMs);
    const resync = this.#resync;
    if (kind === MarkKind.SNAPSHOT_BEGIN) {
      resync.begin(timeNs, nowMs, clean);
      this.#reconcileAtMs = nowMs + RECONCILE_MS;
    } else if (kind !== MarkKind.SNAPSHOT_END) {
      this.counters.unknownKinds++;
    } else if (resync.end(mark.sockets, timeNs)) {
      this.counters.snapshots++;
      const { number, beginNs } = resync;
      if (mark.processes > 0) this.processes.reconcile(number, beginNs);
      this.connections.complete(number, beginNs);
      this.flows.complete(number, beginNs);
      this.listeners.complete(number, beginNs);
      if (number > 1) {
        for (const gone of this.containers.reconcile()) {
          this.announcer.containerRemoved(gone, micros);
        }
      }
    } else {
      this.counters.brokenSnapshots++;
      this.connections.direct();
    }
  }

  #lost(loss: Loss): void {
    const { counters } = this;
    const dropped = loss.dropped ?? 0;
    if (loss.place === 'kernel') counters.lostInKernel += dropped;
    else if (loss.place === 'bus') counters.lostOnBus += dropped;
    else counters.collectorRestarts++;
    this.#resync.lost(`lost records (${loss.place})`, loss.place !== 'kernel');
    // The kernel's time of a loss is not known, only when it was found out.
    this.#emit(makeRow('stream.lagged', { timestamp: this.nowMicros, ...loss }));
  }
}
