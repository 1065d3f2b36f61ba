import { columns, type EventRow } from '@netstatd/events';
import type { Container } from './container.ts';
import type { Counters } from './counters.ts';

/** How long rows wait for the description of their container, and how many. */
export interface Patience {
  readonly waitMs: number;
  readonly maxRows: number;
}

/**
 * Rows of containers that the kernel has named and no runtime has described yet. Each container has a line of its own,
 * so that nothing of another one waits for it. A row is built when what it tells happened, and only the names of its
 * container are filled in when it leaves.
 */
export class WaitingRows {
  readonly #send: (container: Container, rows: readonly EventRow[], micros: number) => void;
  readonly #counters: Counters;
  readonly #patience: Patience;
  /** With the ends of their waits and the times of what they wait with, in the order in which they began. */
  readonly #containers = new Map<Container, { readonly until: number; readonly micros: number }>();
  /** What clients will know by rows that wait, and the container of these. */
  readonly #keys = new Map<number | string, Container>();
  #rows = 0;
  #nowMs = 0;

  /** @param send takes the rows of a container whose wait is over, and the time at which it was named first */
  constructor(
    send: (container: Container, rows: readonly EventRow[], micros: number) => void,
    counters: Counters,
    patience: Patience,
  ) {
    this.#send = send;
    this.#counters = counters;
    this.#patience = patience;
  }

  /** Rows that wait now. */
  get size(): number {
    return this.#rows;
  }

  /**
   * Rows of the container wait from here on, unless they did before.
   * @param micros time of the first, microseconds since 1970
   * @returns whether they wait
   */
  begin(container: Container, micros: number): boolean {
    if (container.waited || this.#patience.waitMs === 0) return false;
    container.waiting = [];
    this.#containers.set(container, { until: this.#nowMs + this.#patience.waitMs, micros });
    return true;
  }

  /** Takes a row of a container that is waited for. */
  add(container: Container, row: EventRow, key?: number | string): void {
    if (key !== undefined) this.#keys.set(key, container);
    container.waiting?.push(row);
    this.#rows++;
    if (this.#rows <= this.#patience.maxRows) return;
    const [oldest] = this.#containers.keys();
    if (oldest === undefined) return;
    this.#counters.containerWaitOverflow++;
    this.end(oldest);
  }

  /** A row is sent of what has the key now: what waits of the one that had it before leaves first. */
  overtake(key: number | string, container: Container | undefined): void {
    const before = this.#keys.get(key);
    if (before !== undefined && before !== container) this.end(before);
  }

  /** The wait of those is over that have waited long enough. @param nowMs monotonic time */
  expire(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const [container, { until }] of this.#containers) {
      if (until > nowMs) return;
      this.end(container);
    }
  }

  /** Lets what waits for a container go, in order, with what is known of the container by now. */
  end(container: Container): void {
    const { waiting } = container;
    const wait = this.#containers.get(container);
    if (waiting === undefined || wait === undefined) return;
    this.#containers.delete(container);
    container.waiting = undefined;
    container.waited = true;
    this.#rows -= waiting.length;
    if (this.#rows === 0) this.#keys.clear();
    for (const row of waiting) fillIn(row, container);
    this.#send(container, waiting, wait.micros);
  }
}

function fillIn(row: EventRow, container: Container): void {
  const at: Readonly<Partial<Record<string, number>>> = columns[row[0]];
  for (const name of ['podName', 'namespace', 'containerName'] as const) {
    const index = at[name];
    if (index !== undefined) row[index] = container[name];
  }
}
