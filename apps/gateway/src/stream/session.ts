import { makeRow, rowToJson, type Filter } from '@netstatd/events';
import { Backoff } from '@netstatd/service';
import type { Page } from '@netstatd/stream';
import { Losses } from './losses.ts';
import type { NodeSource } from './node-source.ts';
import type { Outbox } from './outbox.ts';
import type { SharedBatch } from './shared-batch.ts';
import type { Turns } from './turns.ts';

/** Events held for a client while its snapshot is on the way; they are shared, not copied. */
const maxHeldEvents = 100_000;
/** How long a client may take over one page of its snapshot. */
const pageTimeoutMs = 15_000;

/** What sessions of all clients counted together, since the start. */
export interface SessionCounters {
  snapshots: number;
  snapshotFailures: number;
  /** Events that clients did not get because they were too slow. */
  clientDropped: number;
}

export interface SessionOptions {
  readonly source: NodeSource;
  readonly filter: Filter;
  readonly outbox: Outbox;
  readonly counters: SessionCounters;
  /** The line in which clients wait for snapshots. */
  readonly turns: Turns;
}

/** A place in a node's stream: after batch `seq`, `events` into the epoch. */
interface Place {
  readonly epoch: number;
  readonly seq: number;
  readonly events: number;
  /** What `stream.lagged` in the epoch up to here say was lost, in sum. */
  readonly lost: number;
}

/** Where the stream goes on: what came before it in the epoch. */
type Start = Pick<SharedBatch, 'before' | 'epoch' | 'lostBefore'>;

/**
 * One client's view of one node: its opening state, then its events, with nothing twice and
 * nothing missing that is not told. Losing events on the way here (a gap of the feed) or to the
 * client (it is behind) leads to `stream.lagged` and a new opening state.
 *
 * - opening: batches are held until the snapshot says up to which one it reaches
 * - live: batches go to the client
 * - behind: batches are counted, until the client has caught up
 */
export class Session {
  readonly #source: NodeSource;
  readonly #filter: Filter;
  readonly #outbox: Outbox;
  readonly #counters: SessionCounters;
  readonly #losses = new Losses();
  readonly #backoff = new Backoff({ baseMs: 250, maxMs: 10_000 });
  readonly #end = new AbortController();
  readonly #turns: Turns;
  readonly #unfollow: () => void;
  #state: 'opening' | 'live' | 'behind' = 'opening';
  #held: SharedBatch[] = [];
  #heldEvents = 0;
  /** Up to where the stream was heard or is known as lost; nothing without a snapshot or batch. */
  #heard: Place | undefined;
  /** The first batch after the last gap since the snapshot was asked for. */
  #broken: SharedBatch | undefined;
  /** The client has been given a state that later events belong to. */
  #opened = false;
  /** Part of the snapshot under way has been sent. */
  #begun = false;
  /** The snapshot under way does not lead to what is held, or to all of it. */
  #useless = false;

  constructor(options: SessionOptions) {
    this.#source = options.source;
    this.#filter = options.filter;
    this.#outbox = options.outbox;
    this.#counters = options.counters;
    this.#turns = options.turns;
    // Before the first request: what the snapshot does not hold yet must be heard.
    this.#unfollow = this.#source.follow((batch) => this.#onBatch(batch));
    void this.#open();
  }

  /** Ends the session; nothing is written afterwards. */
  close(): void {
    this.#end.abort();
    this.#unfollow();
    this.#held = [];
  }

  #closed(): boolean {
    return this.#end.signal.aborted;
  }

  #spoilt(): boolean {
    return this.#closed() || this.#useless;
  }

  #onBatch(batch: SharedBatch): void {
    const heard = this.#heard;
    if (heard?.epoch === batch.epoch && batch.seq <= heard.seq) return;
    this.#heard = batch;
    if (heard !== undefined && (heard.epoch !== batch.epoch || heard.events !== batch.before)) {
      this.#lose(heard, batch);
      this.#broken = batch;
      if (this.#begun) this.#useless = true;
      if (this.#state === 'live') this.#reopen('opening');
    }
    if (this.#state === 'live' && this.#outbox.behind) this.#reopen('behind');
    if (this.#state === 'live') this.#outbox.writeBatch(batch, this.#filter);
    else if (this.#state === 'opening') this.#hold(batch);
    else this.#drop(batch);
  }

  /**
   * Events between where the stream was heard and where it goes on: the client has missed them, and with them
   * what they told of losses before the bus.
   */
  #lose(heard: Place, { epoch, before, lostBefore }: Start): void {
    if (!this.#opened) return;
    if (heard.epoch !== epoch) this.#losses.add('restart', undefined);
    else {
      const untold = Math.max(0, lostBefore - heard.lost);
      this.#losses.add('bus', Math.max(0, before - heard.events) + untold);
    }
  }

  #drop(batch: SharedBatch): void {
    const dropped = batch.select(this.#filter).length;
    // The client is not told of losses by these events either.
    this.#losses.add('client', dropped + batch.rows.lost);
    this.#counters.clientDropped += dropped;
  }

  #reopen(state: 'behind' | 'opening'): void {
    this.#state = state;
    void this.#open();
  }

  #hold(batch: SharedBatch): void {
    this.#held.push(batch);
    this.#heldEvents += batch.rows.length;
    if (this.#heldEvents <= maxHeldEvents) return;
    // The snapshot takes too long for what happens meanwhile: it is asked for again.
    this.#useless = true;
    this.#release(this.#held.length);
  }

  /** Lets the first held batches go; a client that already had a state has lost them. */
  #release(count: number): void {
    const released = this.#held.splice(0, count);
    this.#heldEvents = this.#held.reduce((sum, { rows }) => sum + rows.length, 0);
    if (this.#opened) for (const batch of released) this.#drop(batch);
  }

  /** Gives the client a state to go on from, trying until it has one. */
  async #open(): Promise<void> {
    while (!this.#closed()) {
      await this.#outbox.caughtUp();
      if (this.#closed()) return;
      this.#state = 'opening';
      if (!this.#filter.snapshot) break;
      if (await this.#snapshot()) break;
      if (this.#closed()) return;
      this.#counters.snapshotFailures += 1;
      // No event is lost with it, but the client has to know that its opening begins anew.
      if (this.#begun) this.#losses.add('bus', 0);
      this.#begun = false;
      this.#tellLosses();
      await this.#backoff.wait(this.#end.signal);
    }
    if (this.#closed()) return;
    this.#backoff.reset();
    this.#tellLosses();
    this.#opened = true;
    this.#begun = false;
    this.#state = 'live';
    const held = this.#held;
    this.#held = [];
    this.#heldEvents = 0;
    for (const batch of held) {
      if (this.#outbox.behind) this.#drop(batch);
      else this.#outbox.writeBatch(batch, this.#filter);
    }
    if (this.#losses.any) this.#reopen('behind');
  }

  /** Asks for the node's state and sends it page by page as the client takes it. */
  async #snapshot(): Promise<boolean> {
    // Whatever was heard before the request is in the state that answers it.
    this.#release(this.#held.length);
    this.#useless = false;
    this.#broken = undefined;
    const counts: Record<string, number> = {};
    try {
      for await (const page of this.#source.snapshot({ filter: this.#filter }, this.#turns)) {
        if (this.#spoilt()) return false;
        if (page.page === 0 && !this.#reach(page)) return false;
        for (const row of page.rows) {
          if (!this.#filter.matches(row, this.#source.node)) continue;
          counts[row[0]] = (counts[row[0]] ?? 0) + 1;
          this.#outbox.write(rowToJson(row, this.#source.node));
        }
        // Others wait for this turn: a client that does not take its pages has to ask again.
        if (!(await this.#outbox.caughtUp(pageTimeoutMs))) return false;
      }
    } catch {
      // Why is in the log, once for all clients; here it is only tried again.
      return false;
    }
    if (this.#spoilt()) return false;
    this.#counters.snapshots += 1;
    const complete = makeRow('snapshot.complete', {
      timestamp: Date.now() * 1000,
      connections: counts['connection.event'] ?? 0,
      containers: counts['container.added'] ?? 0,
      ports: counts['port.listening'] ?? 0,
    });
    this.#outbox.write(rowToJson(complete, this.#source.node));
    return true;
  }

  /**
   * The snapshot holds everything up to its place: what was held of it is not sent again. False
   * when what was heard since does not follow on it.
   */
  #reach({ epoch, seq, before, lost }: Page): boolean {
    const heard = this.#heard;
    if (heard !== undefined && heard.epoch > epoch) return false;
    if (heard?.epoch === epoch && heard.seq > seq) {
      const broken = this.#broken;
      if (broken?.epoch === epoch && broken.before > before) return false;
    } else {
      const isKnown = heard?.epoch === epoch && heard.events === before;
      if (heard !== undefined && !isKnown) this.#lose(heard, { epoch, before, lostBefore: lost });
      this.#heard = { epoch, seq, events: before, lost };
    }
    const beyond = this.#held.findIndex((each) => each.epoch === epoch && each.seq > seq);
    this.#release(beyond < 0 ? this.#held.length : beyond);
    this.#tellLosses();
    // From here on the client has a state: what it misses from now on, it is told.
    this.#begun = true;
    this.#opened = true;
    return true;
  }

  #tellLosses(): void {
    if (!this.#losses.any) return;
    const lagged = makeRow('stream.lagged', this.#losses.take(Date.now() * 1000));
    if (this.#filter.matches(lagged, this.#source.node)) {
      this.#outbox.write(rowToJson(lagged, this.#source.node));
    }
  }
}
