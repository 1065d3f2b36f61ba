import type { BusLog, Subscription } from '@netstatd/bus';
import { pack, subjects, unpack } from '@netstatd/bus';
import type { EventRow, SnapshotRequest } from '@netstatd/events';
import { snapshotRequestSchema, trimRow } from '@netstatd/events';
import type { StreamBus } from './bus.ts';
import { PROTOCOL_VERSION } from './message.ts';
import { packRows } from './pack-rows.ts';

/**
 * Gives the rows of a node's state that a request wants, in the order of the opening state. A
 * cursor that the iterator returns at its end (a generator's return value) becomes the `next` of
 * the last page. Read to its end at once; throw to refuse, the message is the answer.
 */
export type SnapshotSource = (request: SnapshotRequest) => Iterable<EventRow, unknown>;

/** Where the stream stands at the moment of a snapshot. */
export interface SnapshotPlace {
  readonly epoch: number;
  readonly seq: number;
  readonly before: number;
  readonly lost?: number;
}

interface ResponderOptions {
  readonly bus: StreamBus;
  readonly node: string;
  readonly log: BusLog;
  readonly snapshot: SnapshotSource;
  /** Called right before `snapshot`; flushes, so that the place includes all there is. */
  readonly place: () => SnapshotPlace;
}

export interface ResponderCounters {
  snapshots: number;
  /** Malformed, too many at a time, or refused by the source. */
  snapshotsRefused: number;
  /** Given up because the bus did not take the pages or nobody waited any more. */
  snapshotsAborted: number;
}

interface Waiting {
  readonly request: SnapshotRequest;
  readonly reply: string;
  readonly sinceMs: number;
}

/** Answers under way at a time: each holds its pages in memory. */
const MAX_CONCURRENT = 2;
const MAX_WAITING = 64;
/** A request that waited longer has been given up by its asker. */
const MAX_WAIT_MS = 10_000;
/** Bytes after which the server must have taken the pages before more are sent. */
const PACE_BYTES = 1 << 20;

/** Answers the requests for a node's state, one consistent run of pages each. */
export class SnapshotResponder {
  readonly counters: ResponderCounters = { snapshots: 0, snapshotsRefused: 0, snapshotsAborted: 0 };
  readonly #options: ResponderOptions;
  readonly #subscription: Subscription;
  readonly #waiting: Waiting[] = [];
  #answering = 0;
  /** Bytes of pages since the server was last known to have taken all. */
  #unpaced = 0;

  constructor(options: ResponderOptions) {
    this.#options = options;
    this.#subscription = options.bus.subscribe(
      subjects(options.node).snapshot,
      (payload, _subject, reply) => {
        if (reply !== undefined) this.#take(payload, reply);
      },
    );
  }

  close(): void {
    this.#subscription.close();
    this.#waiting.length = 0;
  }

  #take(payload: Uint8Array, reply: string): void {
    const request = readRequest(payload);
    if (typeof request === 'string') {
      this.#refuse(reply, request);
    } else if (this.#waiting.length >= MAX_WAITING) {
      this.#refuse(reply, 'too many snapshots are asked for, try again');
    } else {
      this.#waiting.push({ request, reply, sinceMs: performance.now() });
      if (this.#answering < MAX_CONCURRENT) void this.#answerAll();
    }
  }

  #refuse(reply: string, error: string): void {
    this.counters.snapshotsRefused++;
    this.#options.bus.respond(reply, pack({ v: PROTOCOL_VERSION, error }));
  }

  async #answerAll(): Promise<void> {
    this.#answering++;
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      try {
        const late = performance.now() - next.sinceMs > MAX_WAIT_MS;
        if (late || !(await this.#answer(next))) this.counters.snapshotsAborted++;
      } catch (error) {
        this.#options.log.warn({ err: error }, 'a snapshot could not be given');
        this.#refuse(next.reply, error instanceof Error ? error.message : 'no snapshot');
      }
    }
    this.#answering--;
  }

  /** False when the bus did not take all pages: the asker sees that one is missing. */
  async #answer({ request, reply }: Waiting): Promise<boolean> {
    const { bus } = this.#options;
    for (const page of this.#build(request)) {
      this.#unpaced += page.length;
      if (this.#unpaced > PACE_BYTES && !(await this.#taken())) return false;
      if (bus.respond(reply, page)) continue;
      if (!(await this.#taken()) || !bus.respond(reply, page)) return false;
    }
    this.counters.snapshots++;
    return true;
  }

  /** Whether the server has taken what was sent; false when it is away. */
  async #taken(): Promise<boolean> {
    this.#unpaced = 0;
    return this.#options.bus.flush().then(
      () => true,
      () => false,
    );
  }

  /** All pages, of one instant: nothing else runs meanwhile. */
  #build(request: SnapshotRequest): Uint8Array[] {
    const { node, snapshot, place, log } = this.#options;
    const at = place();
    const rows: EventRow[] = [];
    const source = snapshot(request)[Symbol.iterator]();
    let step = source.next();
    for (; step.done !== true; step = source.next()) rows.push(trimRow(step.value));
    const next: unknown = step.value;
    const head = { v: PROTOCOL_VERSION, node, ...at };
    const pages: Uint8Array[] = [];
    for (const message of packRows(rows, (body) => ({
      ...head,
      page: pages.length,
      last: false,
      ...body,
    }))) {
      if ('payload' in message) pages.push(message.payload);
      else log.warn({ type: message.oversized[0] }, 'a row of a snapshot is too large for the bus');
    }
    const cursor = typeof next === 'string' || typeof next === 'number' ? { next } : {};
    const end = { ...head, page: pages.length, last: true, fields: {}, events: [], ...cursor };
    pages.push(pack(end));
    return pages;
  }
}

function readRequest(payload: Uint8Array): SnapshotRequest | string {
  try {
    const request = snapshotRequestSchema.safeParse(unpack(payload, { maxBytes: 64 << 10 }));
    if (request.success) return request.data;
    const [issue] = request.error.issues;
    return `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not a snapshot request'}`;
  } catch (error) {
    return error instanceof Error ? error.message : 'not a snapshot request';
  }
}
