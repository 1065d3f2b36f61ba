/** How much the enricher remembers. Beyond each limit the oldest goes, and is counted. */
export interface Limits {
  /** Open TCP connections. */
  readonly sockets: number;
  /** Open UDP flows. */
  readonly flows: number;
  /** Living processes. */
  readonly processes: number;
  /** Processes that have ended, for records that name them late. */
  readonly exited: number;
  readonly listeners: number;
  readonly containers: number;
  /** Rows that wait for the description of their container. */
  readonly waitingRows: number;
  /** Closed connections: for accepts that are told late, and against telling anything twice. */
  readonly closed: number;
  /** Inbound connections that wait for their owner. */
  readonly held: number;
}

export const defaultLimits: Limits = {
  sockets: 500_000,
  flows: 131_072,
  processes: 65_536,
  exited: 16_384,
  listeners: 65_536,
  containers: 16_384,
  waitingRows: 16_384,
  closed: 16_384,
  held: 65_536,
};
