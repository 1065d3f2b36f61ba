/**
 * For consumers of netstatd: its WebSocket, and its bus with the protocol that makes a reader
 * complete or lets it know what is missing.
 */
export type { Bus, BusLog, BusOptions } from '@netstatd/bus';
export { connectBus } from '@netstatd/bus';
export type { EventRow, NetstatdEvent } from '@netstatd/events';
export { fromRow } from '@netstatd/events';
export type { FollowerOptions, Gap, SnapshotComplete } from '@netstatd/stream';
export { Follower } from '@netstatd/stream';
export type {
  Conntrack,
  ConntrackCounters,
  ConntrackHandlers,
  ConntrackOptions,
} from './conntrack.ts';
export { openConntrack } from './conntrack.ts';
