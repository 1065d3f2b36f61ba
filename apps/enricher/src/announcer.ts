import { connectionRow, makeRow, type EventRow } from '@netstatd/events';
import type { Connection } from './connection.ts';
import type { Container } from './container.ts';
import type { Containers } from './containers.ts';
import type { Counters } from './counters.ts';
import type { Host } from './host.ts';
import type { Process } from './process.ts';

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
 * names it any more.
 */
export class Announcer {
  readonly #emit: Emit;
  readonly #containers: Containers;
  readonly #host: Host;
  readonly #counters: Counters;

  constructor(emit: Emit, containers: Containers, host: Host, counters: Counters) {
    this.#emit = emit;
    this.#containers = containers;
    this.#host = host;
    this.#counters = counters;
  }

  /** Gives `owned` its owner, for good, and announces who that is. */
  own(owned: Owned, process: Process, cgroupId: number, micros: number): void {
    const container = this.#containers.ofOwner(process, cgroupId);
    owned.process = process;
    owned.container = container;
    owned.exe = process.exe;
    process.sockets++;
    if (container !== undefined) {
      container.sockets++;
      this.#addContainer(container, micros);
    }
    if (process.cgroupId !== cgroupId) {
      process.cgroupId = cgroupId;
      process.announced = false;
    }
    if (!process.announced) this.process(process, micros);
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
    if (container !== undefined && !gone) this.#addContainer(container, micros);
    process.announced = true;
    this.#emit(this.processRow(process, gone ? undefined : container, micros));
  }

  /** The cgroup of a container is gone: so is the container, with its last socket. */
  containerRemoved(container: Container, micros: number): void {
    if (container.sockets > 0) return;
    this.#containers.forget(container);
    if (!container.announced) return;
    container.announced = false;
    this.#emit(containerRow('container.deleted', container, micros));
  }

  /** Sends a connection's state as it is now. */
  connection(connection: Connection): void {
    connection.announced = true;
    this.#counters.countEvent(connection);
    const { sinceMicros, state } = connection;
    this.#emit(connectionRow('connection.event', sinceMicros, state, connection));
  }

  /** Sends the owner of a connection whose ESTABLISHED was sent without. */
  accepted(connection: Connection, micros: number): void {
    this.#counters.ownersLate++;
    this.#emit(connectionRow('connection.accepted', micros, connection.state, connection));
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
    });
  }

  #addContainer(container: Container, micros: number): void {
    if (container.announced) return;
    container.announced = true;
    this.#containers.remember(container);
    this.#emit(containerRow('container.added', container, micros));
  }
}

/** The row of a container, as far as its cgroup tells. */
export function containerRow(
  type: 'container.added' | 'container.deleted',
  container: Container,
  micros: number,
): EventRow {
  return makeRow(type, {
    timestamp: micros,
    containerUid: container.containerUid,
    runtime: container.runtime === 'unknown' ? undefined : container.runtime,
    podUid: container.podUid,
  });
}
