import { printable } from '@netstatd/events';
import type { WireEvent } from './event.ts';

/** One connection as the table shows it; texts are made once, when an event changes them. */
export interface Row {
  readonly key: string;
  readonly node: string;
  /** Grows with each row: the order of appearance. */
  readonly order: number;
  state: string;
  direction: string;
  protocol: string;
  local: string;
  remote: string;
  process: string;
  pid: number | undefined;
  container: string;
  bytesSent: number | undefined;
  bytesReceived: number | undefined;
  reason: string;
  /** Milliseconds since 1970 when the connection was first seen, by the kernel's clock. */
  since: number;
  /** The page's clock (`now`) when it closed: the row fades and goes from then on. */
  closedAt: number | undefined;
  durationMicros: number | undefined;
  /** The opening state (see `begin`) this row was last part of. */
  generation: number;
  /** Lower-case text that the filter searches. */
  search: string;
}

/** How long a closed row stays to be read; a failed one is rarer and stays longer. */
export const closedStayMs = 6_000;
export const failedStayMs = 20_000;
/** Bounds: beyond these, the oldest closed rows go early, and new open ones are counted only. */
const maxRows = 150_000;
const maxClosed = 3_000;

const failures = new Set(['refused', 'timeout', 'unreachable', 'reset']);

/** Failed: it ended by an error, not by one of its two ends closing it. */
export const isFailed = (row: Row): boolean => failures.has(row.reason);

/** Every connection the page knows, kept whole by events, snapshots and their ends. */
export class ConnectionTable {
  readonly #rows = new Map<string, Row>();
  /** Keys of closed rows in the order they closed; a Set keeps insertion order. */
  readonly #closed = new Set<string>();
  /** Of each node: how many opening states it has begun. */
  readonly #generations = new Map<string, number>();
  #order = 0;
  /** Open connections that were not taken because the page holds its maximum. */
  refused = 0;
  /** Grows with every change, so that a view knows whether to look again. */
  version = 0;

  get open(): number {
    return this.#rows.size - this.#closed.size;
  }

  get closed(): number {
    return this.#closed.size;
  }

  /** All rows, oldest first. */
  rows(): IterableIterator<Row> {
    return this.#rows.values();
  }

  /**
   * A new opening state of one node (of all: undefined) begins: rows that it does not confirm are
   * gone when it is complete.
   */
  begin(node?: string): void {
    const nodes = node === undefined ? [...this.#generations.keys()] : [node];
    for (const name of nodes) this.#generations.set(name, this.#generationOf(name) + 1);
    this.refused = 0;
  }

  /** The opening state of `node` is whole: what it did not name closed while nobody looked. */
  complete(node: string): void {
    const generation = this.#generationOf(node);
    for (const row of this.#rows.values()) {
      if (row.node === node && row.generation < generation && row.closedAt === undefined) {
        this.#rows.delete(row.key);
      }
    }
    this.version += 1;
  }

  /** Takes a `connection.event` or `connection.accepted`. `now`: the page's clock, ms. */
  apply(event: WireEvent, now: number): void {
    const key = keyOf(event);
    let row = this.#rows.get(key);
    // A UDP flow that was idle may begin again: that is another row.
    if (row?.closedAt !== undefined && event.protocol === 'UDP' && event.state !== 'CLOSE') {
      this.#closed.delete(key);
      this.#rows.delete(key);
      row = undefined;
    }
    const closes = event.state === 'CLOSE';
    if (row === undefined) {
      if (this.#rows.size >= maxRows) this.#dropOldestClosed();
      if (this.#rows.size >= maxRows) {
        this.refused += 1;
        return;
      }
      row = this.#create(key, event);
      this.#rows.set(key, row);
    }
    this.version += 1;
    row.generation = this.#generationOf(event.nodeName);
    // A late owner (connection.accepted) of a closed connection does not open it again.
    if (row.closedAt === undefined) row.state = event.state ?? row.state;
    merge(row, event);
    if (closes && row.closedAt === undefined) {
      row.closedAt = now;
      this.#closed.add(key);
      if (this.#closed.size > maxClosed) this.#dropOldestClosed();
    }
  }

  /** Removes closed rows whose time is over. True when something changed. */
  expire(now: number): boolean {
    const before = this.#rows.size;
    for (const key of this.#closed) {
      const row = this.#rows.get(key);
      const stay = row !== undefined && isFailed(row) ? failedStayMs : closedStayMs;
      if (row?.closedAt !== undefined && now - row.closedAt < stay) continue;
      this.#closed.delete(key);
      this.#rows.delete(key);
    }
    if (this.#rows.size === before) return false;
    this.version += 1;
    return true;
  }

  #generationOf(node: string): number {
    const generation = this.#generations.get(node);
    if (generation === undefined) this.#generations.set(node, 0);
    return generation ?? 0;
  }

  #create(key: string, event: WireEvent): Row {
    this.#order += 1;
    return {
      key,
      node: event.nodeName,
      order: this.#order,
      state: event.state ?? '',
      direction: '',
      protocol: '',
      local: '',
      remote: '',
      process: '',
      pid: undefined,
      container: '',
      bytesSent: undefined,
      bytesReceived: undefined,
      reason: '',
      since: Date.parse(event.timestamp),
      closedAt: undefined,
      durationMicros: undefined,
      generation: 0,
      search: '',
    };
  }

  #dropOldestClosed(): void {
    const [oldest] = this.#closed;
    if (oldest === undefined) return;
    this.#closed.delete(oldest);
    this.#rows.delete(oldest);
  }
}

/** A UDP socket has a flow for each peer; a TCP socket is one connection. */
function keyOf(event: WireEvent): string {
  const socket = `${event.nodeName} ${event.sockCookie ?? ''}`;
  return event.protocol === 'UDP'
    ? `${socket} ${event.remoteIP ?? ''} ${event.remotePort ?? ''}`
    : socket;
}

const endpoint = (ip: string | undefined, port: number | undefined): string =>
  ip === undefined ? '' : `${ip.includes(':') ? `[${ip}]` : ip}:${port ?? '?'}`;

/** Adds what the event knows; an absent field never erases a known one. */
function merge(row: Row, event: WireEvent): void {
  row.direction = event.direction ?? row.direction;
  if (event.protocol !== undefined) row.protocol = event.protocol + (event.family === 6 ? '6' : '');
  row.local = endpoint(event.localIP, event.localPort) || row.local;
  row.remote = endpoint(event.remoteIP, event.remotePort) || row.remote;
  const process = event.exe ?? event.comm;
  if (process !== undefined) row.process = printable(process);
  row.pid = event.pid ?? row.pid;
  row.container = containerText(event) || row.container;
  row.bytesSent = event.bytesSent ?? row.bytesSent;
  row.bytesReceived = event.bytesReceived ?? row.bytesReceived;
  row.durationMicros = event.durationMicros ?? row.durationMicros;
  row.reason = event.closeReason ?? row.reason;
  row.search = [
    ...[row.state, row.direction, row.protocol, row.local, row.remote, row.process],
    ...[row.pid, row.container, row.reason, row.node],
  ]
    .join(' ')
    .toLowerCase();
}

function containerText(event: WireEvent): string {
  if (event.podName !== undefined) {
    const pod = `${event.namespace ?? '?'}/${event.podName}`;
    return printable(event.containerName === undefined ? pod : `${pod} ${event.containerName}`);
  }
  return printable(event.containerName ?? event.containerUid?.slice(0, 12) ?? '');
}
