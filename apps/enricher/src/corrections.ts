import type { Announcer, Owned } from './announcer.ts';
import type { Connection } from './connection.ts';
import type { Container } from './container.ts';
import type { Containers } from './containers.ts';
import type { Counters } from './counters.ts';
import type { Listeners } from './listeners.ts';
import type { Process } from './process.ts';

/** Everything that may have left without its container. */
export interface Correctable {
  readonly announcer: Announcer;
  readonly containers: Containers;
  readonly counters: Counters;
  readonly listeners: Listeners;
  readonly connections: { values(): Iterable<Connection> };
  readonly flows: { values(): Iterable<Connection> };
  readonly processes: { living(): Iterable<Process> };
}

/**
 * Sends again what left without the description of its container, when that has come after all: the same state with
 * the same time, and the names that were absent. One pass over the tables serves all containers of a moment.
 */
export class Corrections {
  readonly #late = new Set<Container>();
  #unattributed = false;

  /** A container was described after rows of it had left. */
  add(container: Container): void {
    this.#late.add(container);
  }

  /** Cgroups of which it was not known are a container's: what is in them may have left without any container. */
  reattribute(): void {
    this.#unattributed = true;
  }

  /** @param micros now, microseconds since 1970 */
  send(parts: Correctable, micros: number): void {
    if (!this.#unattributed && this.#late.size === 0) return;
    const { announcer, counters, listeners, connections, flows } = parts;
    const changed = this.#unattributed ? this.#attribute(parts, micros) : new Set<Owned>();
    this.#unattributed = false;
    const concerns = (owned: Owned): boolean =>
      changed.has(owned) || (owned.container !== undefined && this.#late.has(owned.container));
    this.#processes(parts, micros);
    for (const listener of listeners.endpoints()) {
      if (!concerns(listener)) continue;
      counters.correctedRows++;
      listeners.tell(listener);
    }
    for (const table of [connections, flows]) {
      for (const connection of table.values()) {
        if (!connection.announced || !concerns(connection)) continue;
        counters.correctedRows++;
        announcer.again(connection);
      }
    }
    this.#late.clear();
  }

  /** Gives sockets their container that was not known to be one. @returns those */
  #attribute(parts: Correctable, micros: number): Set<Owned> {
    const { announcer, containers, listeners, connections, flows } = parts;
    const found = new Set<Owned>();
    for (const table of [listeners, connections, flows]) {
      for (const owned of table.values()) {
        const { process } = owned;
        if (process === undefined || owned.container !== undefined) continue;
        const container = containers.ofOwner(process, process.cgroupId);
        if (container === undefined) continue;
        announcer.contain(owned, container, micros);
        found.add(owned);
        if (process.announced && process.told !== container) announcer.process(process, micros);
      }
    }
    return found;
  }

  /** Processes say which container they are in, too. */
  #processes({ announcer, containers, counters, processes }: Correctable, micros: number): void {
    for (const process of processes.living()) {
      if (!process.announced) continue;
      const container = containers.ofOwner(process, process.cgroupId);
      if (container === undefined) continue;
      if (container === process.told && !this.#late.has(container)) continue;
      counters.correctedRows++;
      announcer.process(process, micros);
    }
  }
}
