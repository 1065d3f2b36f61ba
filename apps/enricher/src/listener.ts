import type { SocketView } from '@netstatd/records';
import type { Owned } from './announcer.ts';
import type { Container } from './container.ts';
import type { Process } from './process.ts';

const IPPROTO_UDP = 17;

/** A socket that listens (TCP) or is bound to a port for anybody's datagrams (UDP). */
export class Listener implements Owned {
  readonly cookie: number;
  readonly protocol: 'TCP' | 'UDP';
  readonly ip: string;
  readonly port: number;
  readonly netns: number | undefined;
  process: Process | undefined = undefined;
  container: Container | undefined = undefined;
  exe: string | undefined = undefined;
  comm: string | undefined = undefined;
  uid: number | undefined = undefined;
  /** When it began to listen, microseconds since 1970. */
  readonly sinceMicros: number;
  /** Newest record that told of it, CLOCK_MONOTONIC nanoseconds. */
  timeNs: number;
  /** A snapshot was asked for, because the owner has ended. */
  holderSought = false;
  /** Number of the snapshot that showed it last. */
  seen = 0;

  constructor(view: SocketView, micros: number, timeNs: number) {
    this.cookie = view.cookie;
    this.protocol = view.protocol === IPPROTO_UDP ? 'UDP' : 'TCP';
    this.ip = view.localAddress;
    this.port = view.localPort;
    this.netns = view.netns || undefined;
    this.sinceMicros = micros;
    this.timeNs = timeNs;
  }

  /** Where it listens, for comparison. */
  get place(): string {
    return placeOf(this.protocol, this.netns, this.port, this.ip);
  }

  /** What clients tell ports apart by: several sockets of one process may share an endpoint (SO_REUSEPORT). */
  get endpoint(): string {
    return `${this.place} ${this.process?.pid ?? ''}`;
  }
}

export function placeOf(
  protocol: string,
  netns: number | undefined,
  port: number,
  ip: string,
): string {
  return `${protocol} ${netns ?? ''} ${port} ${ip}`;
}
