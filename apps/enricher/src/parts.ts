import type { ProcFs } from '@netstatd/procfs';
import { RecordFlag } from '@netstatd/records';
import type { Announcer } from './announcer.ts';
import type { Counters } from './counters.ts';
import type { Host } from './host.ts';
import type { Listeners } from './listeners.ts';
import type { Owners } from './owners.ts';

/** Where processes are looked up that records told too little of. */
export type ProcessSource = Pick<ProcFs, 'readProcess' | 'readCgroups' | 'addressesOf'>;

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

/** Whether the numbers of the record at hand were counted by anybody. */
export function isCounted({ flags }: RecordMoment): boolean {
  return (flags & RecordFlag.UNCOUNTED) === 0;
}
