import type { ConnectionEvent, NetstatdEvent, PortEvent } from '@netstatd/events';

/** Ports of the load (bench/native/soak.h): its flood, what it holds, and its groups. */
export const FLOOD_PORT = 1998;
export const RESIDENT_PORT = 1999;
const LAST_PORT = 31_999;

/** What was told of one group of the load, each thing once. */
export interface Seen {
  /** Ends that connected: told as connecting, established, closed, and closed as refused. */
  connecting: number;
  established: number;
  closed: number;
  refused: number;
  /** Ends that were accepted. */
  acceptedEstablished: number;
  acceptedClosed: number;
  /** Processes that connected. */
  pids: number;
  flowsOpened: number;
  flowsClosed: number;
  /** The receiver's, one for each port that something was sent from. */
  peersOpened: number;
  peersClosed: number;
  listening: number;
  unlistened: number;
  /** States told twice, openings aside. */
  twice: number;
}

const SYN_SENT = 1;
const ESTABLISHED = 2;
const CLOSE = 4;
const REFUSED = 8;
const states: Partial<Record<string, number>> = { SYN_SENT, ESTABLISHED, CLOSE };

/** States told, a bit each, of everything of one kind. */
class Tally {
  readonly #told = new Map<number, number>();

  /** @returns the states that were told before */
  add(key: number, state: number): number {
    const before = this.#told.get(key) ?? 0;
    this.#told.set(key, before | state);
    return before;
  }

  with(state: number): number {
    let count = 0;
    for (const told of this.#told.values()) if (told & state) count++;
    return count;
  }
}

class Group {
  readonly connected = new Tally();
  readonly accepted = new Tally();
  readonly flows = new Tally();
  readonly peers = new Tally();
  readonly ports = new Map<string, number>();
  readonly pids = new Set<number>();
  twice = 0;
  touchedAt = 0;

  seen(): Seen {
    const { connected, accepted, flows, peers } = this;
    const ports = [...this.ports.values()];
    return {
      connecting: connected.with(SYN_SENT),
      established: connected.with(ESTABLISHED),
      closed: connected.with(CLOSE),
      refused: connected.with(REFUSED),
      acceptedEstablished: accepted.with(ESTABLISHED),
      acceptedClosed: accepted.with(CLOSE),
      pids: this.pids.size,
      flowsOpened: flows.with(ESTABLISHED),
      flowsClosed: flows.with(CLOSE),
      peersOpened: peers.with(ESTABLISHED),
      peersClosed: peers.with(CLOSE),
      listening: ports.filter((told) => told & ESTABLISHED).length,
      unlistened: ports.filter((told) => told & CLOSE).length,
      twice: this.twice,
    };
  }
}

/** What belongs together: a network namespace may be given again, and a port too, but not at once. */
export const groupKey = (netns: number, port: number): number => netns * 65_536 + port;

const isOurs = (port: number | undefined): port is number =>
  port !== undefined && port >= FLOOD_PORT && port <= LAST_PORT;

/** Bits of a 127.0.0.0/8 address below the 127. */
function addressBits(ip: string): number {
  const [, a, b, c] = ip.split('.');
  return (Number(a) << 16) | (Number(b) << 8) | Number(c);
}

/** A group that nobody asked about for so long was none of the load's. */
const FORGET_MS = 120_000;

/** Counts what a client is told, apart by the load's groups, and keeps what is open. */
export class SeenGroups {
  readonly #groups = new Map<number, Group>();
  /** Of each open connection or flow, its group; by a name of its own. */
  readonly #open = new Map<string, number>();
  /** Told since the last host.info, while an opening may be under way. */
  #told: Set<string> | undefined;
  #mayOpen = true;
  readonly #peers = new Uint8Array(1 << 21);
  /** Distinct peers connected or sent to. */
  peers = 0;
  openings = 0;

  /** What comes may be part of an opening, not news. */
  get opening(): boolean {
    return this.#told !== undefined;
  }

  /** A loss was told, or the gateway was away: an opening may follow. */
  expectOpening(): void {
    this.#mayOpen = true;
  }

  take(event: NetstatdEvent): void {
    switch (event.type) {
      case 'host.info':
        if (this.#mayOpen) this.#told = new Set();
        break;
      case 'snapshot.complete':
        this.#complete();
        break;
      case 'stream.lagged':
        this.expectOpening();
        break;
      case 'connection.event':
        this.#connection(event);
        break;
      case 'port.listening':
      case 'port.closed':
        this.#port(event);
        break;
      default:
    }
  }

  /** What was seen of a group so far. */
  seen(key: number): Seen {
    return (this.#groups.get(key) ?? new Group()).seen();
  }

  forget(key: number): void {
    this.#groups.delete(key);
  }

  /** Forgets what nobody asks about: other programs use these ports, too. */
  purge(): void {
    const before = performance.now() - FORGET_MS;
    for (const [key, { touchedAt }] of this.#groups)
      if (touchedAt < before) this.#groups.delete(key);
  }

  /** How many are open, by group. */
  open(): Map<number, number> {
    const counts = new Map<number, number>();
    for (const key of this.#open.values()) counts.set(key, (counts.get(key) ?? 0) + 1);
    return counts;
  }

  #complete(): void {
    const told = this.#told;
    this.#told = undefined;
    this.#mayOpen = false;
    this.openings++;
    if (told) for (const name of this.#open.keys()) if (!told.has(name)) this.#open.delete(name);
  }

  #group(key: number): Group {
    let group = this.#groups.get(key);
    if (!group) this.#groups.set(key, (group = new Group()));
    group.touchedAt = performance.now();
    return group;
  }

  #connection(event: ConnectionEvent): void {
    const { netns, localPort, remoteIP, remotePort, protocol, sockCookie: cookie } = event;
    const state = states[event.state] ?? 0;
    if (netns === undefined || cookie === undefined || !remoteIP.startsWith('127.')) return;
    // The near end's port is the load's at the end that was connected to, the far end's at the other.
    const far = isOurs(remotePort);
    const port = far ? remotePort : localPort;
    if (!isOurs(port)) return;
    const key = groupKey(netns, port);
    const udp = protocol === 'UDP';
    this.#keepOpen(udp ? `${cookie} ${remotePort} ${remoteIP}` : `${cookie}`, key, state);
    if (far) this.#countPeer(addressBits(remoteIP));
    const group = this.#group(key);
    const tally = udp ? (far ? group.flows : group.peers) : far ? group.connected : group.accepted;
    const name = udp ? (far ? addressBits(remoteIP) : remotePort) : cookie;
    const refused = event.closeReason === 'refused' ? REFUSED : 0;
    const before = tally.add(name, state | refused);
    // A receiver's flow begins anew when its peer's port is given again.
    if (before & state && !this.#told && tally !== group.peers) group.twice++;
    if (far && !udp && event.pid !== undefined) group.pids.add(event.pid);
  }

  #keepOpen(name: string, key: number, state: number): void {
    if (state === CLOSE) {
      this.#open.delete(name);
      return;
    }
    this.#open.set(name, key);
    this.#told?.add(name);
  }

  #port({ type, netns, port, ip, protocol }: PortEvent): void {
    if (netns === undefined || !isOurs(port)) return;
    const { ports } = this.#group(groupKey(netns, port));
    const name = `${protocol} ${ip}`;
    const state = type === 'port.listening' ? ESTABLISHED : CLOSE;
    ports.set(name, (ports.get(name) ?? 0) | state);
  }

  #countPeer(bits: number): void {
    const mask = 1 << (bits & 7);
    const byte = this.#peers[bits >> 3] ?? 0;
    if (byte & mask) return;
    this.#peers[bits >> 3] = byte | mask;
    this.peers++;
  }
}
