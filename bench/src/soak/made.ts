import type { Said } from '../parts/load.ts';
import { groupKey, type Seen } from './seen.ts';

/** What the load says of a group when it has ended; see bench/native/soak_group.c. */
export interface Made {
  number: number;
  port: number;
  netns: number;
  /** Microseconds since 1970. */
  beginUs: number;
  endUs: number;
  /** Connections that were accepted, and that were refused. */
  tcp: number;
  refused: number;
  /** Whatever the load itself could not do. */
  failed: number;
  forks: number;
  listeners: number;
  flows: number;
  /** Distinct ports that datagrams were sent from. */
  senders: number;
  /** Connections begun in each 50 ms. */
  bins: number[];
}

/** A count of each thing, as in what was seen. */
export type Counts = Omit<Seen, 'twice'>;
export const kinds = [
  ...(['connecting', 'established', 'closed', 'refused'] as const),
  ...(['acceptedEstablished', 'acceptedClosed', 'pids'] as const),
  ...(['flowsOpened', 'flowsClosed', 'peersOpened', 'peersClosed'] as const),
  ...(['listening', 'unlistened'] as const),
] satisfies (keyof Counts)[];
export type Kind = (typeof kinds)[number];
/** Those that happen while the connection is made, and are over when it is. */
export const tcpKinds: readonly Kind[] = kinds.slice(0, 7);

export const madeOf = (said: Said): Made => said as unknown as Made;
export const keyOf = ({ netns, port }: Pick<Made, 'netns' | 'port'>): number =>
  groupKey(netns, port);

/** What has to be seen of a group, to the last one. */
export function expected({ tcp, refused, forks, listeners, flows, senders }: Made): Counts {
  const ports = listeners + (flows > 0 ? 1 : 0);
  return {
    connecting: tcp + refused,
    established: tcp,
    closed: tcp + refused,
    refused,
    acceptedEstablished: tcp,
    acceptedClosed: tcp,
    // The group's own process, and those that made one connection each.
    pids: forks + 1,
    flowsOpened: flows,
    flowsClosed: flows,
    peersOpened: senders,
    peersClosed: senders,
    listening: ports,
    unlistened: ports,
  };
}

/** Made and not seen, of each kind; negative: seen and not made. */
export function missingOf(made: Made, seen: Seen): Counts {
  const wanted = expected(made);
  return Object.fromEntries(kinds.map((kind) => [kind, wanted[kind] - seen[kind]])) as Record<
    Kind,
    number
  >;
}

export const sumOf = (counts: Counts): number => kinds.reduce((sum, kind) => sum + counts[kind], 0);

const BIN_MS = 50;

/** Connections that a group began in a span of time, to a bin at either end. Times in ms since 1970. */
export function begunIn({ beginUs, refused, bins }: Made, fromMs: number, toMs: number): number {
  const beginMs = beginUs / 1000;
  const first = Math.floor(beginMs / BIN_MS) * BIN_MS;
  const overlaps = (at: number) => at + BIN_MS > fromMs && at < toMs;
  const inBins = bins.reduce(
    (sum, count, i) => sum + (overlaps(first + i * BIN_MS) ? count : 0),
    0,
  );
  // The refused ones come first, before anything is counted by time.
  return inBins + (overlaps(first) ? refused : 0);
}
