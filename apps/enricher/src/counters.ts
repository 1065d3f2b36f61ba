import type { Connection, TrackedState } from './connection.ts';

const states: readonly TrackedState[] = ['SYN_SENT', 'ESTABLISHED', 'CLOSE'];
const numbers: readonly (readonly [protocol: number, family: number])[] = [
  [6, 2],
  [6, 10],
  [17, 2],
  [17, 10],
];

/** What the enricher has done and what it could not do, since its start. */
export class Counters {
  /** connection.event rows by protocol, family and state, in the order of `numbers` and `states`. */
  readonly #events = new Float64Array(numbers.length * states.length);
  /** Records read, by what they are about. */
  socketRecords = 0;
  processRecords = 0;
  cgroupRecords = 0;
  /** Records of kinds that this version does not know. */
  unknownKinds = 0;
  /** Records that told what was known already: snapshots overlap with what the ring buffer says. */
  repeated = 0;
  batches = 0;
  /** Batches that were none, or broken inside. */
  badBatches = 0;
  /** Batches that came twice or late. */
  staleBatches = 0;
  /** Batches of a recording that came to an enricher of this machine, or the other way round: not read. */
  foreignBatches = 0;
  /** Records lost by the kernel's ring buffer, and on the bus, as far as they can be counted. */
  lostInKernel = 0;
  lostOnBus = 0;
  /** New epochs of the collector: what happened in between is corrected by its snapshot. */
  collectorRestarts = 0;
  /** Inbound connections whose owner came in time, late, and never before their end. */
  ownersInTime = 0;
  ownersLate = 0;
  ownersMissing = 0;
  /** Held connections that had to be let go early because too many waited. */
  heldOverflow = 0;
  /** Containers that something named: described in time for its events, after they had left, not at all so far. */
  containersInTime = 0;
  containersLate = 0;
  containersUndescribed = 0;
  /** Containers that are another than when they were announced, and were announced again. */
  containersChanged = 0;
  /** Containers whose events had to leave early because too many waited. */
  containerWaitOverflow = 0;
  /** Events that were sent again with the container that they had lacked. */
  correctedRows = 0;
  /** Pids that a runtime gave for a container and whose cgroups are not the container's: not believed. */
  foreignPids = 0;
  /** Corrections after a loss: connections opened and closed because a snapshot showed them or did not. */
  presumedOpen = 0;
  presumedClosed = 0;
  /** Snapshots of the collector: asked for, used, unusable. */
  resyncRequests = 0;
  snapshots = 0;
  brokenSnapshots = 0;

  countEvent(connection: Connection): void {
    const kind = (connection.protocol === 'UDP' ? 2 : 0) + (connection.family === 6 ? 1 : 0);
    const state = connection.state === 'ESTABLISHED' ? 1 : connection.state === 'CLOSE' ? 2 : 0;
    const at = kind * states.length + state;
    this.#events[at] = (this.#events[at] ?? 0) + 1;
  }

  /** All of them by name; events as `events:<protocol>:<family>:<state>` in Linux' numbers. */
  toObject(): Record<string, number> {
    const result: Record<string, number> = {};
    for (const [name, value] of Object.entries(this)) {
      if (typeof value === 'number') result[name] = value;
    }
    numbers.forEach(([protocol, family], kind) => {
      states.forEach((state, at) => {
        const count = this.#events[kind * states.length + at] ?? 0;
        if (count > 0) result[`events:${protocol}:${family}:${state}`] = count;
      });
    });
    return result;
  }
}
