import type { Bus } from '@netstatd/bus';
import { columns, type EventType, type Filter } from '@netstatd/events';
import { LogOnce, type Log } from '@netstatd/service';
import { BatchFeed, requestSnapshot, type Page, type SnapshotQuery } from '@netstatd/stream';
import { SharedBatch } from './shared-batch.ts';
import type { Turns } from './turns.ts';

/** Longest wait for the enricher's first or next page. */
const pageTimeoutMs = 5_000;
/** How long the live events of a node are still read after the last client has gone. */
const graceMs = 5_000;

/** Who hears the events of a node, batch by batch. */
export type Listener = (batch: SharedBatch) => void;

/** Part of a node's state: of some types, of what passes a filter, from a cursor on. */
export interface StateRequest {
  readonly filter?: Filter;
  readonly types?: EventType[];
  readonly pid?: number;
  readonly limit?: number;
  readonly after?: number | string;
}

/** What one gateway reads of one node: its live events, once for all clients, and its state. */
export class NodeSource {
  readonly node: string;
  /** Events that are known to have been lost between the enricher and here. */
  missedEvents = 0;
  readonly #bus: Bus;
  readonly #log: Log;
  readonly #logOnce: LogOnce;
  readonly #listeners = new Set<Listener>();
  #feed: BatchFeed | undefined;
  #grace: NodeJS.Timeout | undefined;

  constructor(options: { readonly node: string; readonly bus: Bus; readonly log: Log }) {
    this.node = options.node;
    this.#bus = options.bus;
    this.#log = options.log;
    this.#logOnce = new LogOnce(options.log);
  }

  /** Calls the listener for every batch from here on; the returned function ends that. */
  follow(listener: Listener): () => void {
    this.#listeners.add(listener);
    clearTimeout(this.#grace);
    this.#feed ??= new BatchFeed({
      bus: this.#bus,
      node: this.node,
      log: this.#log,
      onBatch: (batch) => {
        const shared = new SharedBatch(batch);
        for (const listener of this.#listeners) listener(shared);
      },
      // What it means to a client depends on where the client stands: sessions find gaps themselves.
      onGap: ({ missed = 0 }) => (this.missedEvents += missed),
    });
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#grace = setTimeout(() => this.close(), graceMs).unref();
    };
  }

  /**
   * The node's state, page by page; the line of `turns` is kept until the last page is taken.
   * @throws BusyError, BusError or MessageError: no turn, no answer, or a bad one
   */
  async *snapshot(request: StateRequest, turns: Turns): AsyncGenerator<Page, void, undefined> {
    const { filter, ...rest } = request;
    const query: SnapshotQuery = filter ? { ...rest, filter: filter.toQuery() } : rest;
    const giveBack = await turns.take();
    try {
      yield* requestSnapshot(this.#bus, this.node, query, { timeoutMs: pageTimeoutMs });
      this.#logOnce.over(this.node, `${this.node} answers again`);
    } catch (error) {
      this.#logOnce.warn(
        this.node,
        { node: this.node, reason: String(error) },
        'the state of a node is not given',
      );
      throw error;
    } finally {
      giveBack();
    }
  }

  /** The executable of a process; undefined when the enricher does not know the process. */
  async exeOf(pid: number, turns: Turns): Promise<string | undefined> {
    const { pid: pidAt, exe: exeAt } = columns['process.metainfo'];
    let exe: unknown;
    for await (const { rows } of this.snapshot({ types: ['process.metainfo'], pid }, turns)) {
      for (const row of rows) if (row[pidAt] === pid) exe = row[exeAt];
    }
    return typeof exe === 'string' ? exe : undefined;
  }

  /** Stops reading live events; the next `follow` starts again. */
  close(): void {
    clearTimeout(this.#grace);
    this.#feed?.close();
    this.#feed = undefined;
  }
}
