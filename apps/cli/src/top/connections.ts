import { parseMicros } from '@netstatd/events';
import type { ConnectionEvent } from '@netstatd/events';
import { cellText } from './cells.ts';
import { Groups } from './groups.ts';
import type { Group, Grouping } from './groups.ts';
import { Rate } from './rate.ts';

/** One connection, in the texts that are shown of it. */
export interface Connection {
  readonly key: string;
  readonly node: string;
  /** When it began, or was first heard of, in ms since 1970. */
  readonly since: number;
  protocol: string;
  state: string;
  direction: string;
  local: string;
  remote: string;
  remoteIP: string;
  program: string;
  pid: number | undefined;
  /** Its pod, else its container. */
  container: string;
  /** "namespace/pod" */
  pod: string;
  sent: number | undefined;
  received: number | undefined;
  rttMicros: number | undefined;
  durationMicros: number | undefined;
  reason: string;
  closedAt: number | undefined;
}

/** What the table keeps beside the connection itself. */
interface Entry extends Connection {
  established: boolean;
  /** The opening state of its node that named it last. */
  generation: number;
  group: Group | undefined;
}

interface Node {
  generation: number;
  /** The opening state is being told: what it names is not new. */
  opening: boolean;
  /** An opening state is to come, so that the next host.info begins it. */
  awaited: boolean;
}

/** Connections kept: beyond it the oldest closed one goes, else the oldest. */
const MAX_CONNECTIONS = 20_000;
const MAX_NODES = 10_000;
/** How long a closed connection stays to be read. */
const STAYS_MS = 8000;

/** The connections of all nodes that are followed, made whole by every opening state. */
export class Connections {
  readonly rate = new Rate();
  groups: Groups;
  /** Open connections that went for want of room. */
  evicted = 0;
  readonly #entries = new Map<string, Entry>();
  /** Keys of the closed ones, in the order they closed. */
  readonly #closed = new Set<string>();
  readonly #nodes = new Map<string, Node>();
  /** Opening states that were told to the end. */
  completed = 0;

  constructor(by: Grouping) {
    this.groups = new Groups(by);
  }

  get open(): number {
    return this.#entries.size - this.#closed.size;
  }

  get closed(): number {
    return this.#closed.size;
  }

  values(): Iterable<Connection> {
    return this.#entries.values();
  }

  /** Adds up by something else; rates begin anew. */
  groupBy(by: Grouping, now: number): void {
    this.groups = new Groups(by);
    for (const entry of this.#entries.values()) {
      entry.group = undefined;
      this.#place(entry, now, true);
    }
  }

  /** Events were missed: an opening state may follow. Of all nodes when none is named. */
  expectOpening(name?: string): void {
    if (name !== undefined) this.#node(name).awaited = true;
    else for (const node of this.#nodes.values()) node.awaited = true;
  }

  /** host.info: of a new opening state, or of a host that has changed. */
  begin(name: string): void {
    const node = this.#node(name);
    if (!node.awaited) return;
    node.opening = true;
    node.awaited = false;
    node.generation++;
  }

  /** The opening state is whole: what it did not name closed while nobody looked. */
  complete(name: string, now: number): void {
    const node = this.#node(name);
    node.opening = false;
    node.awaited = false;
    this.completed++;
    for (const entry of this.#of(name)) {
      const stale = entry.generation < node.generation && entry.closedAt === undefined;
      if (stale) this.#remove(entry, now);
    }
  }

  /** The node is not heard any more: of its connections nothing is known. */
  forget(name: string, now: number): void {
    for (const entry of this.#of(name)) this.#remove(entry, now);
    this.#nodes.delete(name);
  }

  /** Takes a `connection.event` or `connection.accepted` at `now`, in ms since 1970. */
  apply(event: ConnectionEvent, now: number): void {
    const node = this.#node(event.nodeName);
    const closes = event.state === 'CLOSE';
    // No opening state names a closed connection.
    if (closes) node.opening = false;
    const key = keyOf(event);
    let entry = this.#entries.get(key);
    if (event.type === 'connection.accepted' && entry === undefined) return;
    if (entry?.closedAt !== undefined && !closes && event.type === 'connection.event') {
      // A socket connects again after a failure, a UDP flow begins again after having been idle.
      this.#remove(entry, now);
      entry = undefined;
    }
    if (entry === undefined) {
      entry = newEntry(key, event, now);
      this.#makeRoom(now);
      this.#entries.set(key, entry);
    }
    entry.generation = node.generation;
    if (entry.closedAt === undefined) entry.state = cellText(event.state);
    if (entry.group) addBytes(entry.group, entry, -1);
    merge(entry, event);
    if (entry.group) addBytes(entry.group, entry, 1);
    this.#place(entry, now, node.opening);
    if (!closes && event.state !== 'SYN_SENT' && !entry.established) {
      entry.established = true;
      if (!node.opening) {
        this.rate.count(now);
        entry.group?.rate.count(now);
      }
    }
    if (closes && entry.closedAt === undefined) this.#close(entry, now);
  }

  /** Lets those go that have been closed long enough. */
  expire(now: number): void {
    for (const key of this.#closed) {
      const entry = this.#entries.get(key);
      if (entry?.closedAt !== undefined && now - entry.closedAt < STAYS_MS) break;
      if (entry) this.#remove(entry, now);
      this.#closed.delete(key);
    }
    this.groups.expire(now);
  }

  #of(name: string): Entry[] {
    const node = cellText(name);
    return [...this.#entries.values()].filter((entry) => entry.node === node);
  }

  #node(name: string): Node {
    let node = this.#nodes.get(name);
    if (!node) {
      node = { generation: 0, opening: false, awaited: true };
      if (this.#nodes.size < MAX_NODES) this.#nodes.set(name, node);
    }
    return node;
  }

  /** Puts it into the group of its owner, who may have become known only now. */
  #place(entry: Entry, now: number, isOld: boolean): void {
    const group = this.groups.of(entry, now);
    const before = entry.group;
    if (group === before) return;
    const isOpen = entry.closedAt === undefined;
    if (before && isOpen) leave(before, now);
    if (before) addBytes(before, entry, -1);
    entry.group = group;
    if (!group) return;
    if (isOpen) group.open++;
    addBytes(group, entry, 1);
    if (entry.established && !isOld) group.rate.count(now);
  }

  #close(entry: Entry, now: number): void {
    entry.closedAt = now;
    this.#closed.add(entry.key);
    if (!entry.group) return;
    leave(entry.group, now);
    if (!entry.established) entry.group.failed++;
  }

  #remove(entry: Entry, now: number): void {
    if (entry.closedAt === undefined && entry.group) leave(entry.group, now);
    this.#entries.delete(entry.key);
    this.#closed.delete(entry.key);
  }

  #makeRoom(now: number): void {
    if (this.#entries.size < MAX_CONNECTIONS) return;
    const [closed] = this.#closed;
    const [oldest] = closed === undefined ? this.#entries.keys() : [closed];
    const entry = oldest === undefined ? undefined : this.#entries.get(oldest);
    if (!entry) return;
    if (entry.closedAt === undefined) this.evicted++;
    this.#remove(entry, now);
  }
}

function addBytes(group: Group, { sent = 0, received = 0 }: Entry, sign: 1 | -1): void {
  group.sent += sign * sent;
  group.received += sign * received;
}

function leave(group: Group, now: number): void {
  group.open--;
  group.emptyAt = now;
}

/** A UDP socket has a flow for each peer; a connect without a cookie failed at once, and is its own. */
function keyOf(event: ConnectionEvent): string {
  const { nodeName, sockCookie, protocol, remoteIP, remotePort, timestamp } = event;
  const socket = `${nodeName} ${sockCookie ?? timestamp}`;
  return protocol === 'UDP' || sockCookie === undefined
    ? `${socket} ${remoteIP} ${remotePort}`
    : socket;
}

function newEntry(key: string, event: ConnectionEvent, now: number): Entry {
  return {
    key,
    node: cellText(event.nodeName),
    since: Math.min(now, parseMicros(event.timestamp) / 1000) || now,
    protocol: cellText(event.protocol) + (event.family === 6 ? '6' : ''),
    state: '',
    direction: '',
    local: '',
    remote: '',
    remoteIP: '',
    program: '',
    pid: undefined,
    container: '',
    pod: '',
    sent: undefined,
    received: undefined,
    rttMicros: undefined,
    durationMicros: undefined,
    reason: '',
    closedAt: undefined,
    established: false,
    generation: 0,
    group: undefined,
  };
}

/** Adds what the event knows; what it does not know stays as it was. */
function merge(entry: Entry, event: ConnectionEvent): void {
  if (event.direction !== undefined)
    entry.direction = cellText(event.direction).replace('bound', '');
  entry.local = endpoint(event.localIP, event.localPort) || entry.local;
  entry.remote = endpoint(event.remoteIP, event.remotePort) || entry.remote;
  entry.remoteIP = cellText(event.remoteIP);
  const program = event.comm ?? event.exe?.slice(event.exe.lastIndexOf('/') + 1);
  if (program !== undefined) entry.program = cellText(program);
  entry.pid = event.pid ?? entry.pid;
  entry.pod = podText(event) || entry.pod;
  entry.container = entry.pod || containerText(event) || entry.container;
  entry.sent = event.bytesSent ?? entry.sent;
  entry.received = event.bytesReceived ?? entry.received;
  entry.rttMicros = event.rttMicros ?? entry.rttMicros;
  entry.durationMicros = event.durationMicros ?? entry.durationMicros;
  entry.reason = event.closeReason === undefined ? entry.reason : cellText(event.closeReason);
}

function endpoint(ip: string | undefined, port: number | undefined): string {
  if (ip === undefined) return '';
  return cellText(`${ip.includes(':') ? `[${ip}]` : ip}:${port ?? '?'}`);
}

function podText({ podName, namespace }: ConnectionEvent): string {
  return podName === undefined ? '' : cellText(`${namespace ?? '?'}/${podName}`);
}

function containerText({ containerName, containerUid }: ConnectionEvent): string {
  return cellText(containerName ?? containerUid?.slice(0, 12) ?? '');
}
