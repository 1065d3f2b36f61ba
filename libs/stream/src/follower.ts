import type { BusLog, Subscription } from '@netstatd/bus';
import { quietLog, retryDelayMs, subjects } from '@netstatd/bus';
import type { EventRow, Filter } from '@netstatd/events';
import type { StreamBus } from './bus.ts';
import { readBatchOf } from './feed.ts';
import type { Batch, Page } from './message.ts';
import { MessageError } from './message.ts';
import type { SnapshotQuery } from './request-snapshot.ts';
import { requestSnapshot } from './request-snapshot.ts';
import type { Gap } from './sequence.ts';
import { eventsOf, Sequence } from './sequence.ts';

/** The state that was delivered, and where in the stream it stands. */
export interface SnapshotComplete {
  readonly node: string;
  readonly epoch: number;
  readonly seq: number;
  readonly rows: number;
}

export interface FollowerOptions {
  readonly bus: StreamBus;
  /** The node's name. */
  readonly node: string;
  /** Rows that do not match are left out, of the state and live. */
  readonly filter?: Filter;
  readonly log?: BusLog;
  /** The state follows anew: forget what was known. */
  readonly onSnapshotStart?: (nodeName: string) => void;
  /** A row of the state or, after `onSnapshotComplete`, a live one. */
  readonly onRow: (row: EventRow, nodeName: string) => void;
  readonly onSnapshotComplete?: (snapshot: SnapshotComplete) => void;
  /** Events were missed; the whole state comes again. */
  readonly onGap?: (gap: Gap) => void;
  /** Longest wait for a page of the state, in milliseconds. */
  readonly timeoutMs?: number;
  /** Live events kept while the state is on its way; beyond them it is asked for again. */
  readonly maxBufferedEvents?: number;
}

/** Since the start. */
export interface FollowerCounters {
  snapshots: number;
  failedSnapshots: number;
  gaps: number;
  duplicates: number;
  malformed: number;
}

const TIMEOUT_MS = 5000;
const MAX_BUFFERED_EVENTS = 1 << 18;
/** A snapshot of more rows is not the state of a node. */
const MAX_SNAPSHOT_ROWS = 1 << 21;
/** Gaps closer together than this, in milliseconds, are answered ever more slowly. */
const CALM_MS = 10_000;

/**
 * Follows a node: its whole state, then every event since, in order and once. Where events were
 * missed it says so and gives the state again. Nothing it keeps grows without bound.
 */
export class Follower {
  readonly counters: FollowerCounters = {
    snapshots: 0,
    failedSnapshots: 0,
    gaps: 0,
    duplicates: 0,
    malformed: 0,
  };
  readonly #options: FollowerOptions;
  readonly #sequence = new Sequence();
  #subscription: Subscription | undefined;
  /** Live batches since the request that is under way; undefined when none is. */
  #buffer: Batch[] | undefined;
  #bufferedEvents = 0;
  #overflowed = false;
  #live = false;
  #closed = false;
  /** Ends the wait for a gap, and the one before the next try. */
  #onLost: (() => void) | undefined;
  #onPauseEnd: (() => void) | undefined;
  #ignoreBus: (() => void) | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Whether the state is complete and live events are passed on. */
  get live(): boolean {
    return this.#live;
  }

  /** Begins; throws a RangeError on a bad node name. */
  start(): void {
    const { bus, node } = this.#options;
    if (this.#subscription || this.#closed) return;
    this.#subscription = bus.subscribe(subjects(node).events, (payload, subject) =>
      this.#take(payload, subject),
    );
    this.#ignoreBus = bus.onChange((connected) => {
      if (connected) this.#onPauseEnd?.();
    });
    void this.#run();
  }

  /** No callback is called afterwards. */
  close(): void {
    this.#closed = true;
    this.#live = false;
    this.#buffer = undefined;
    this.#subscription?.close();
    this.#ignoreBus?.();
    this.#onLost?.();
    this.#onPauseEnd?.();
  }

  #take(payload: Uint8Array, subject: string): void {
    const batch = readBatchOf(payload, subject);
    if (batch instanceof MessageError) {
      if (this.counters.malformed++ === 0) this.#warn(batch, 'a message on the bus is no batch');
    } else if (this.#live) {
      this.#pass(batch);
    } else if (this.#buffer && !this.#overflowed) {
      this.#buffer.push(batch);
      this.#bufferedEvents += eventsOf(batch);
      this.#overflowed =
        this.#bufferedEvents > (this.#options.maxBufferedEvents ?? MAX_BUFFERED_EVENTS);
      if (this.#overflowed) this.#buffer = [];
    }
  }

  /** State, live until lost, state again, …; each try later than the one before. */
  async #run(): Promise<void> {
    let attempt = 0;
    let warned = false;
    const isClosed = (): boolean => this.#closed;
    while (!isClosed()) {
      try {
        const pages = await this.#requestState();
        if (isClosed()) return;
        warned = false;
        const since = performance.now();
        const lost = new Promise<void>((resolve) => (this.#onLost = resolve));
        this.#deliver(pages);
        await lost;
        if (performance.now() - since > CALM_MS) attempt = 0;
      } catch (error) {
        this.counters.failedSnapshots++;
        if (!warned) this.#warn(error, 'the state of the node cannot be had, trying again');
        warned = true;
      }
      this.#live = false;
      this.#buffer = undefined;
      if (attempt > 0 && !isClosed()) await this.#pause(retryDelayMs(attempt - 1));
      attempt++;
    }
  }

  /**
   * The pages of the state, all of them: a state that breaks off is not delivered. Batches from
   * before the request are within it, whatever their number.
   */
  async #requestState(): Promise<Page[]> {
    const { bus, node, filter, timeoutMs = TIMEOUT_MS } = this.#options;
    const query: SnapshotQuery = filter ? { filter: filter.toQuery() } : {};
    this.#buffer = [];
    this.#bufferedEvents = 0;
    this.#overflowed = false;
    const pages: Page[] = [];
    let rows = 0;
    for await (const page of requestSnapshot(bus, node, query, { timeoutMs })) {
      pages.push(page);
      rows += page.rows.length;
      if (rows > MAX_SNAPSHOT_ROWS) throw new MessageError('the snapshot has too many rows');
      // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- set meanwhile
      if (this.#overflowed) throw new MessageError('more live events than can wait for the state');
      if (this.#closed) break;
    }
    return pages;
  }

  #deliver(pages: readonly Page[]): void {
    const { node, onSnapshotStart, onSnapshotComplete } = this.#options;
    const [first] = pages;
    if (!first) return;
    if (this.#sequence.started) {
      const gap = this.#sequence.missedUntil(first);
      if (gap.dropped !== 0) this.#report(gap);
    }
    const { epoch, seq } = first;
    this.#sequence.moveTo(first);
    onSnapshotStart?.(node);
    let rows = 0;
    for (const page of pages) {
      rows += page.rows.length;
      this.#passRows(page.rows);
    }
    this.counters.snapshots++;
    onSnapshotComplete?.({ node, epoch, seq, rows });
    this.#live = !this.#closed;
    const buffered = this.#buffer ?? [];
    this.#buffer = undefined;
    for (const batch of buffered) if (this.#live) this.#pass(batch);
  }

  #pass(batch: Batch): void {
    const place = this.#sequence.check(batch);
    if (place === 'old') {
      this.counters.duplicates++;
    } else if (place === 'next') {
      this.#sequence.moveBehind(batch);
      this.#passRows(batch.rows);
    } else {
      // This batch is not passed on either: the state that comes now includes it.
      const { missed, dropped } = place;
      const events = eventsOf(batch);
      const gap =
        missed === undefined || dropped === undefined
          ? place
          : { ...place, missed: missed + events, dropped: dropped + events + batch.rows.lost };
      this.#sequence.moveBehind(batch);
      this.#live = false;
      this.#report(gap);
      this.#onLost?.();
    }
  }

  #passRows(rows: Iterable<EventRow>): void {
    const { node, filter, onRow } = this.#options;
    for (const row of rows) {
      if (this.#closed) return;
      if (!filter || filter.matches(row, node)) onRow(row, node);
    }
  }

  #report(gap: Gap): void {
    this.counters.gaps++;
    this.#options.onGap?.(gap);
  }

  #warn(error: unknown, message: string): void {
    (this.#options.log ?? quietLog).warn({ node: this.#options.node, err: error }, message);
  }

  async #pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#onPauseEnd = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#onPauseEnd = undefined;
  }
}
