import type { NetRow } from '@netstatd/procfs';
import { Direction } from '@netstatd/records';
import { roleOf, TcpState, TrackedSocket } from './tracked-socket.ts';

/** Sockets followed at a time. */
const SOCKETS_MAX = 131_072;
/** A table is read while it changes, so that a socket may be missing in one poll. */
const MISSED_MAX = 2;

/** What a poll found to be another than the one before. */
export interface Changes {
  readonly opened: TrackedSocket[];
  /** TCP connections that were connecting. */
  readonly established: TrackedSocket[];
  readonly closed: TrackedSocket[];
}

export interface SocketTableOptions {
  /** Whether connections and ports on loopback addresses are wanted. */
  readonly loopback: boolean;
  /** Ports that the kernel chooses from, both included. */
  readonly ephemeral: readonly [number, number];
}

/** The sockets that polls found, by inode; tells what changes from poll to poll. */
export class SocketTable {
  /** Left out of the last poll for want of room. */
  skipped = 0;
  readonly #options: SocketTableOptions;
  readonly #sockets = new Map<number, TrackedSocket>();
  /** Listening and bound sockets by namespace, protocol, port and address. */
  readonly #listeners = new Map<string, number>();
  #poll = 0;
  #changes: Changes = { opened: [], established: [], closed: [] };

  constructor(options: SocketTableOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sockets.size;
  }
  /** All that are told of. */
  *values(): Iterable<TrackedSocket> {
    for (const socket of this.#sockets.values()) if (this.#isWanted(socket)) yield socket;
  }

  begin(): void {
    this.#poll++;
    this.skipped = 0;
    this.#changes = { opened: [], established: [], closed: [] };
  }

  /** A row of the poll. */
  take(row: NetRow, protocol: number, netKey: number, netns: number): void {
    const role = roleOf(protocol, row);
    if (role === undefined) return;
    const known = this.#sockets.get(row.inode);
    if (known?.isIn(row, role)) {
      known.seen = this.#poll;
      known.missed = 0;
      const connected = known.state === TcpState.SYN_SENT && row.state !== TcpState.SYN_SENT;
      known.state = row.state;
      if (connected && this.#isWanted(known)) this.#changes.established.push(known);
      return;
    }
    if (known !== undefined) this.#close(known);
    else if (this.#sockets.size >= SOCKETS_MAX) {
      this.skipped++;
      return;
    }
    const socket = new TrackedSocket(row, protocol, role, netKey, netns);
    socket.seen = this.#poll;
    this.#sockets.set(socket.inode, socket);
    this.#count(socket, 1);
    if (this.#isWanted(socket)) this.#changes.opened.push(socket);
  }

  /** @param unread namespaces that could not be read whole: of their sockets nothing new is known */
  end(unread: ReadonlySet<number>): Changes {
    for (const socket of this.#sockets.values()) {
      if (socket.seen === this.#poll || unread.has(socket.netKey)) continue;
      if (++socket.missed >= MISSED_MAX) this.#close(socket);
    }
    for (const socket of this.#changes.opened) this.#direct(socket);
    return this.#changes;
  }

  #close(socket: TrackedSocket): void {
    this.#sockets.delete(socket.inode);
    this.#count(socket, -1);
    if (this.#isWanted(socket)) this.#changes.closed.push(socket);
  }

  /**
   * A UDP socket with a port that the kernel chose is a client's before it has said to whom; one that asked for its
   * port is a server's. /proc does not tell them apart but by the port.
   */
  #isWanted({ role, loopback, local }: TrackedSocket): boolean {
    if (loopback && !this.#options.loopback) return false;
    return role !== 'bound' || (local.port !== 0 && !this.#isEphemeral(local.port));
  }

  #isEphemeral(port: number): boolean {
    const [from, to] = this.#options.ephemeral;
    return port >= from && port <= to;
  }

  /** Who opened it: known when a listener takes connections where its near end is, or the kernel chose its port. */
  #direct(socket: TrackedSocket): void {
    const { role, state, local } = socket;
    if (role !== 'connection' && role !== 'flow') return;
    const places = [local.address, new Uint8Array(4), new Uint8Array(16)];
    if (state === TcpState.SYN_SENT) socket.direction = Direction.OUTBOUND;
    else if (places.some((place) => this.#listeners.has(placeOf(socket, place)))) {
      socket.direction = Direction.INBOUND;
    } else if (this.#isEphemeral(local.port)) socket.direction = Direction.OUTBOUND;
  }

  #count(socket: TrackedSocket, change: 1 | -1): void {
    if (socket.role !== 'listener' && socket.role !== 'bound') return;
    const place = placeOf(socket, socket.local.address);
    const count = (this.#listeners.get(place) ?? 0) + change;
    if (count > 0) this.#listeners.set(place, count);
    else this.#listeners.delete(place);
  }
}

function placeOf({ netKey, protocol, local }: TrackedSocket, address: Uint8Array): string {
  return `${netKey} ${protocol} ${local.port} ${address.join('.')}`;
}
