import { connectionRow, makeRow, type EventRow } from '@netstatd/events';
import type { Connection } from './connection.ts';
import type { Container } from './container.ts';
import type { Containers } from './containers.ts';
import type { Counters } from './counters.ts';
import type { Host } from './host.ts';
import type { Process } from './process.ts';
import type { RuntimeSource } from './runtime-source.ts';
import { WaitingRows, type Patience } from './waiting-rows.ts';

/** Takes a finished row, which nobody changes afterwards. */
export type Emit = (row: EventRow) => void;

/** What has an owner: a connection, a flow, a listener. */
export interface Owned {
  process: Process | undefined;
  container: Container | undefined;
  /** Executable and name of the process at the time it became the owner. */
  exe: string | undefined;
  comm: string | undefined;
  /** User that made the socket. */
  uid: number | undefined;
}

/**
 * Makes rows and keeps their order: what a row names was announced before, and is deleted only when nothing
 * names it any more. Rows of a container that a runtime is about to describe wait for that, see WaitingRows.
 */
export class Announcer {
  readonly waiting: WaitingRows;
  readonly #emit: Emit;
  readonly #containers: Containers;
  readonly #host: Host;
  readonly #counters: Counters;
  readonly #runtime: RuntimeSource | undefined;

  constructor(parts: {
    readonly emit: Emit;
    readonly containers: Containers;
    readonly host: Host;
    readonly counters: Counters;
    readonly patience: Patience;
    readonly runtime?: RuntimeSource | undefined;
  }) {
    this.#emit = parts.emit;
    this.#containers = parts.containers;
    this.#host = parts.host;
    this.#counters = parts.counters;
    this.#runtime = parts.runtime;
    this.waiting = new WaitingRows(
      (container, rows, micros) => this.#release(container, rows, micros),
      parts.counters,
      parts.patience,
    );
  }

  /** Gives `owned` its owner, for good, and announces who that is. */
  own(owned: Owned, process: Process, cgroupId: number, micros: number): void {
    const container = this.#containers.ofOwner(process, cgroupId);
    owned.process = process;
    owned.exe = process.exe;
    process.sockets++;
    if (container !== undefined) this.contain(owned, container, micros);
    if (process.cgroupId !== cgroupId) {
      process.cgroupId = cgroupId;
      process.announced = false;
    }
    if (!process.announced) this.process(process, micros);
  }

  /** `owned` is in a container: announces it. */
  contain(owned: Owned, container: Container, micros: number): void {
    owned.container = container;
    container.sockets++;
    this.#introduce(container, micros);
  }

  /** `owned` is gone: lets go of what it named. */
  release(owned: Owned, micros: number): void {
    const { process, container } = owned;
    if (process !== undefined && --process.sockets === 0 && process.exited) {
      process.announced = false;
    }
    if (container === undefined) return;
    container.sockets--;
    if (container.removed) this.containerRemoved(container, micros);
  }

  /** Sends process.metainfo, after its container when it names one. */
  process(process: Process, micros: number): void {
    const container = this.#containers.ofOwner(process, process.cgroupId);
    const gone = container?.removed === true && container.sockets === 0;
    if (container !== undefined && !gone) this.#introduce(container, micros);
    process.announced = true;
    const named = gone ? undefined : container;
    process.told = named;
    this.send(this.processRow(process, named, micros), named, process.pid);
  }

  /** The container of a cgroup or a runtime is gone, as far as those can tell: it goes with its last socket. */
  containerRemoved(container: Container, micros: number): void {
    // Its description may still come: a container may be over before its runtime has told of it.
    if (container.sockets > 0 || container.waiting !== undefined) return;
    this.#containers.forget(container);
    if (!container.announced) return;
    container.announced = false;
    this.#emit(container.row('container.deleted', micros));
  }

  /**
   * A runtime has described a container, maybe once more: sends container.added when clients do not know all of it.
   * @returns whether rows have left that should have had the description
   */
  described(container: Container, micros: number): boolean {
    if (container.waiting !== undefined) {
      this.#inTime(container);
      this.waiting.end(container);
      return false;
    }
    if (!container.announced) {
      this.#add(container, micros);
      return false;
    }
    const { told } = container;
    this.#add(container, micros);
    if (container.told !== told) this.#counters.containersChanged++;
    if (container.counted || !container.waited) return false;
    container.counted = true;
    this.#counters.containersLate++;
    return true;
  }

  /** Sends a connection's state as it is now. */
  connection(connection: Connection): void {
    connection.announced = true;
    this.#counters.countEvent(connection);
    const { sinceMicros, state, container } = connection;
    const row = connectionRow('connection.event', sinceMicros, state, connection);
    if (container?.waiting === undefined) this.#emit(row);
    else this.waiting.add(container, row);
  }

  /** Sends a connection's state once more: its container is known better than when it was sent. */
  again(connection: Connection): void {
    const { sinceMicros, state, container } = connection;
    this.send(connectionRow('connection.event', sinceMicros, state, connection), container);
  }

  /** Sends the owner of a connection whose ESTABLISHED was sent without. */
  accepted(connection: Connection, micros: number): void {
    this.#counters.ownersLate++;
    const row = connectionRow('connection.accepted', micros, connection.state, connection);
    if (connection.container?.waiting !== undefined) connection.ownerWaits = true;
    this.send(row, connection.container);
  }

  /**
   * Sends a row, behind those that wait for the container that it names.
   * @param key what clients know the thing by, when a thing of another container may have it next: a pid, a port
   */
  send(row: EventRow, container: Container | undefined, key?: number | string): void {
    if (key !== undefined && this.waiting.size > 0) this.waiting.overtake(key, container);
    if (container?.waiting === undefined) this.#emit(row);
    else this.waiting.add(container, row, key);
  }

  /** The row of a process, as process.metainfo. */
  processRow(process: Process, container: Container | undefined, micros: number): EventRow {
    return makeRow('process.metainfo', {
      timestamp: micros,
      pid: process.pid,
      ppid: process.ppid,
      exe: process.exe,
      comm: process.comm,
      netns: process.netns,
      isHostNetNS: this.#host.isHostNetns(process.netns),
      cgroupSlice: this.#containers.pathOf(process.cgroupId),
      containerUid: container?.containerUid,
      podName: container?.podName,
      namespace: container?.namespace,
      containerName: container?.containerName,
    });
  }

  /** Something names a container. */
  #introduce(container: Container, micros: number): void {
    if (container.announced && container.counted) return;
    if (container.described) this.#inTime(container);
    if (container.announced || container.waiting !== undefined) return;
    this.#containers.remember(container);
    if (!container.described && this.#runtime?.following) {
      this.#runtime.ask(container.containerUid);
      if (this.waiting.begin(container, micros)) return;
    }
    container.waited = !container.described;
    this.#add(container, micros);
  }

  /** Sends container.added, unless it was sent with the same content. */
  #add(container: Container, micros: number): void {
    const row = container.row('container.added', micros);
    const told = container.digest();
    if (container.announced && container.told === told) return;
    container.announced = true;
    container.told = told;
    this.#emit(row);
  }

  #release(container: Container, rows: readonly EventRow[], micros: number): void {
    if (!container.described) this.#counters.containersUndescribed++;
    this.#add(container, micros);
    for (const row of rows) this.#emit(row);
    if (container.removed) this.containerRemoved(container, micros);
  }

  #inTime(container: Container): void {
    if (container.counted) return;
    container.counted = true;
    this.#counters.containersInTime++;
  }
}
