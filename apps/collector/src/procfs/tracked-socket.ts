import { isLoopback, parseNetEnd, type NetEnd, type NetRow } from '@netstatd/procfs';
import { Direction } from '@netstatd/records';
import type { Holder } from './holders.ts';

export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;

/** include/net/tcp_states.h */
export const TcpState = {
  ESTABLISHED: 1,
  SYN_SENT: 2,
  FIN_WAIT1: 4,
  FIN_WAIT2: 5,
  CLOSE: 7,
  CLOSE_WAIT: 8,
  LAST_ACK: 9,
  LISTEN: 10,
  CLOSING: 11,
} as const;

/** A listening TCP socket, a bound UDP socket, a TCP connection, a connected UDP socket. */
export type SocketRole = 'listener' | 'bound' | 'connection' | 'flow';

const tcpRoles = new Map<number, SocketRole>([
  [TcpState.LISTEN, 'listener'],
  ...[
    TcpState.ESTABLISHED,
    TcpState.SYN_SENT,
    TcpState.FIN_WAIT1,
    TcpState.FIN_WAIT2,
    TcpState.CLOSE_WAIT,
    TcpState.LAST_ACK,
    TcpState.CLOSING,
  ].map((state) => [state, 'connection'] as const),
]);

/** What a row of a table is, if anything that is followed. */
export function roleOf(protocol: number, { state, inode }: NetRow): SocketRole | undefined {
  // Not accepted yet, or closed by its process and left to the kernel.
  if (inode === 0) return undefined;
  if (protocol === IPPROTO_TCP) return tcpRoles.get(state);
  return state === TcpState.ESTABLISHED ? 'flow' : 'bound';
}

/** A socket from the poll that found it to the one that no longer does. */
export class TrackedSocket {
  readonly inode: number;
  readonly protocol: number;
  readonly role: SocketRole;
  /** Of its namespace: ProcFs.netKeyOf, and the inode if that is known. */
  readonly netKey: number;
  readonly netns: number;
  readonly uid: number;
  readonly local: NetEnd;
  readonly remote: NetEnd;
  readonly loopback: boolean;
  state: number;
  direction: number = Direction.UNKNOWN;
  owner: Holder | undefined;
  /** Searches for an owner. */
  searches = 0;
  /** Number of the poll that found it last, and polls since. */
  seen = 0;
  missed = 0;
  readonly #ends: string;

  constructor(row: NetRow, protocol: number, role: SocketRole, netKey: number, netns: number) {
    this.inode = row.inode;
    this.protocol = protocol;
    this.role = role;
    this.netKey = netKey;
    this.netns = netns;
    this.uid = row.uid;
    this.state = row.state;
    this.local = parseNetEnd(row.local);
    this.remote = parseNetEnd(row.remote);
    this.loopback = isLoopback(this.local.address) || isLoopback(this.remote.address);
    this.#ends = row.local + row.remote;
  }

  /** Whether a row of the same inode shows it as it was, but for its state. */
  isIn(row: NetRow, role: SocketRole): boolean {
    return this.role === role && this.#ends === row.local + row.remote;
  }
}
