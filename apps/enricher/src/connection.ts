import type { CloseReason, ConnectionDirection, ConnectionFields, Remote } from '@netstatd/events';
import { Direction, type SocketView } from '@netstatd/records';
import { closeReason } from './close-reason.ts';
import type { Container } from './container.ts';
import type { Process } from './process.ts';

const AF_INET = 2;
const IPPROTO_UDP = 17;

/** The states that the kernel reports: those that change what a client should know. */
export type TrackedState = 'SYN_SENT' | 'ESTABLISHED' | 'CLOSE';

/** What is known only when a connection has ended. Absent is undefined. */
export class Ending {
  bytesSent: number | undefined = undefined;
  bytesReceived: number | undefined = undefined;
  rttMicros: number | undefined = undefined;
  retransmits: number | undefined = undefined;
  durationMicros: number | undefined = undefined;
  closeReason: CloseReason | undefined = undefined;
  /** When it ended, microseconds since 1970. */
  endMicros = 0;
}

/**
 * A connection (TCP) or a flow (UDP): an entry of the table and, as it is, the source of its events' rows. The
 * owner is taken once, when a record with RECORD_F_OWNER names it, and stays: neither a pid that is given again
 * nor a later exec changes what a connection says of its owner.
 */
export class Connection implements Omit<ConnectionFields, 'state'> {
  readonly protocol: 'TCP' | 'UDP';
  readonly family: 4 | 6;
  /** The kernel's socket cookie; 0 when the socket has none. */
  readonly cookie: number;
  readonly netns: number | undefined;
  direction: ConnectionDirection | undefined = undefined;
  localIP: string | undefined = undefined;
  localPort: number | undefined = undefined;
  readonly remoteIP: string;
  readonly remotePort: number;
  remote: Remote | undefined = undefined;
  process: Process | undefined = undefined;
  container: Container | undefined = undefined;
  comm: string | undefined = undefined;
  exe: string | undefined = undefined;
  uid: number | undefined = undefined;
  handshakeMicros: number | undefined = undefined;
  rttMicros: number | undefined = undefined;
  bytesSent: number | undefined = undefined;
  bytesReceived: number | undefined = undefined;
  retransmits: number | undefined = undefined;
  durationMicros: number | undefined = undefined;
  closeReason: CloseReason | undefined = undefined;

  state: TrackedState;
  /** When it reached its state, microseconds since 1970. */
  sinceMicros: number;
  /** Newest record that told of it, CLOCK_MONOTONIC nanoseconds. */
  timeNs: number;
  /** Number of the snapshot that showed it last. */
  seen = 0;
  /** Clients know of it, or will when the description of its container is there. */
  announced = false;
  /** Clients know of it without its owner, who waits for the description of the container. */
  ownerWaits = false;
  /** Waits for its owner before its ESTABLISHED is sent. */
  held = false;
  /** Its end, when it came while the ESTABLISHED was held. */
  ending: Ending | undefined = undefined;
  /** Was closed because a snapshot did not show it, not because the kernel said so. */
  presumed = false;

  constructor(view: SocketView, state: TrackedState, micros: number, timeNs: number) {
    this.protocol = view.protocol === IPPROTO_UDP ? 'UDP' : 'TCP';
    this.family = view.family === AF_INET ? 4 : 6;
    this.cookie = view.cookie;
    this.netns = view.netns || undefined;
    this.remoteIP = view.remoteAddress;
    this.remotePort = view.remotePort;
    this.state = state;
    this.sinceMicros = micros;
    this.timeNs = timeNs;
    this.describe(view);
  }

  get sockCookie(): number | undefined {
    return this.cookie || undefined;
  }
  get pid(): number | undefined {
    return this.process?.pid;
  }
  get containerUid(): string | undefined {
    return this.container?.containerUid;
  }

  get podName(): string | undefined {
    return this.container?.podName;
  }
  get namespace(): string | undefined {
    return this.container?.namespace;
  }
  get containerName(): string | undefined {
    return this.container?.containerName;
  }

  declare readonly actualRemoteIP: undefined;
  declare readonly actualRemotePort: undefined;
  declare readonly hostname: undefined;

  /** Takes what a record tells of the near end and was not known, e.g. the port at SYN_SENT. */
  describe(view: SocketView): void {
    if (view.localPort !== 0) {
      this.localPort = view.localPort;
      const ip = view.localAddress;
      if (!isUnspecified(ip)) this.localIP = ip;
    }
    if (this.direction === undefined && view.direction !== Direction.UNKNOWN) {
      this.direction = view.direction === Direction.OUTBOUND ? 'outbound' : 'inbound';
    }
    if (view.handshakeMicros !== 0) this.handshakeMicros = view.handshakeMicros;
    if (view.rttMicros !== 0) this.rttMicros = view.rttMicros;
  }

  /** It has ended: takes the end's facts, and its time. */
  end(ending: Ending): void {
    this.state = 'CLOSE';
    this.sinceMicros = ending.endMicros;
    this.bytesSent = ending.bytesSent;
    this.bytesReceived = ending.bytesReceived;
    this.rttMicros = ending.rttMicros;
    this.retransmits = ending.retransmits;
    this.durationMicros = ending.durationMicros;
    this.closeReason = ending.closeReason;
  }
}

/**
 * Reads the end of a connection from its last record.
 * @param counted whether its numbers are any: nobody counted one that never was established, or that was polled
 */
export function readEnding(view: SocketView, endMicros: number, counted: boolean): Ending {
  const ending = new Ending();
  ending.endMicros = endMicros;
  ending.closeReason = closeReason(view.error, view.closeSide);
  if (!counted) return ending;
  ending.bytesSent = view.bytesSent;
  ending.bytesReceived = view.bytesReceived;
  ending.durationMicros = view.durationMicros || undefined;
  if (view.protocol === IPPROTO_UDP) return ending;
  ending.rttMicros = view.rttMicros || undefined;
  ending.retransmits = view.retransmits;
  return ending;
}

/** An address that stands for none: not yet chosen, or any. */
export function isUnspecified(ip: string): boolean {
  return ip === '0.0.0.0' || ip === '::';
}
