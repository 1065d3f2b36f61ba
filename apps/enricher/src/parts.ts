import type { Announcer } from './announcer.ts';
import type { Counters } from './counters.ts';
import type { Host } from './host.ts';
import type { Listeners } from './listeners.ts';
import type { Owners } from './owners.ts';

/** What the tables of connections and of flows stand on. */
export interface Parts {
  readonly announcer: Announcer;
  readonly owners: Owners;
  readonly listeners: Listeners;
  readonly host: Host;
  readonly counters: Counters;
}

/** What the record of the moment says beside the socket itself. */
export interface RecordMoment {
  flags: number;
  /** Microseconds since 1970, and CLOCK_MONOTONIC nanoseconds. */
  micros: number;
  timeNs: number;
}

/** A snapshot dates a socket a moment after it has looked at it: it may have closed in between. */
export const SNAPSHOT_SLACK_NS = 1e6;
