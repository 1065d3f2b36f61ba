import { makeRow, rowToJson, type Filter, type LagPlace } from '@netstatd/events';
import { Backoff } from '@netstatd/service';
import type { Gap } from '@netstatd/stream';
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

/** A gap keeps its place in the order of what is held. */
type Held = SharedBatch | Gap;

const isGap = (held: Held): held is Gap => 'place' in held;

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
  #held: Held[] = [];
  #heldEvents = 0;
  /** The last batch that the client has, in its snapshot or sent; unknown without a snapshot. */
  #at: { epoch: number; seq: number } | undefined;
  /** The client has been given a state that later events belong to. */
  #opened = false;
  #overflowed = false;
  /** Part of a snapshot has been sent. */
  #begun = false;

  constructor(options: SessionOptions) {
    this.#source = options.source;
    this.#filter = options.filter;
    this.#outbox = options.outbox;
    this.#counters = options.counters;
    this.#turns = options.turns;
    // Before the first request: what the snapshot does not hold yet must be heard.
    this.#unfollow = this.#source.follow({
      batch: (batch) => this.#onBatch(batch),
      gap: (gap) => this.#onGap(gap),
    });
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

  /** The snapshot under way is of no use any more. */
  #spoilt(): boolean {
    return this.#closed() || this.#overflowed;
  }

  #onBatch(batch: SharedBatch): void {
    if (this.#state === 'live') this.#deliver(batch);
    else if (this.#state === 'opening') this.#hold(batch, batch.rows.length);
    else this.#drop(batch);
  }

  #onGap(gap: Gap): void {
    if (this.#state === 'live') this.#lag(gap.place, gap.dropped, 'opening');
    else if (this.#state === 'opening') this.#hold(gap, 1);
    else this.#losses.add(gap.place, gap.dropped);
  }

  /** Sends a batch, or begins to drop: the client is behind, or the batch does not follow. */
  #deliver(batch: SharedBatch): void {
    const { epoch, seq } = batch;
    const at = this.#at;
    if (at !== undefined && (epoch < at.epoch || (epoch === at.epoch && seq <= at.seq))) return;
    if (at !== undefined && (epoch !== at.epoch || seq !== at.seq + 1)) {
      this.#lag(epoch === at.epoch ? 'bus' : 'restart', undefined, 'opening');
      this.#onBatch(batch);
      return;
    }
    if (this.#outbox.behind) {
      this.#lag('client', 0, 'behind');
      this.#drop(batch);
      return;
    }
    this.#at = { epoch, seq };
    this.#outbox.writeBatch(batch, this.#filter);
  }

  #drop(batch: SharedBatch, place: LagPlace = 'client'): void {
    const dropped = batch.select(this.#filter).length;
    this.#losses.add(place, dropped);
    this.#counters.clientDropped += dropped;
  }

  #lag(place: LagPlace, dropped: number | undefined, state: 'opening' | 'behind'): void {
    this.#losses.add(place, dropped);
    this.#state = state;
    void this.#open();
  }

  #hold(held: Held, events: number): void {
    this.#heldEvents += events;
    if (this.#heldEvents <= maxHeldEvents) {
      this.#held.push(held);
      return;
    }
    // The snapshot takes too long for what happens meanwhile: count all, and ask for another.
    this.#overflowed = true;
    this.#release([...this.#held, held]);
  }

  /** Lets held events go; a client that already had a state has lost them and will be told. */
  #release(held: readonly Held[]): void {
    this.#held = [];
    this.#heldEvents = 0;
    if (!this.#opened) return;
    for (const each of held) {
      if (isGap(each)) this.#losses.add(each.place, each.dropped);
      else this.#drop(each);
    }
  }

  /** Gives the client a state to go on from, trying until it has one. */
  async #open(): Promise<void> {
    while (!this.#closed()) {
      await this.#outbox.caughtUp();
      if (this.#closed()) return;
      this.#state = 'opening';
      if (!this.#filter.snapshot) {
        this.#at = undefined;
        break;
      }
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
    // Any of these may end the live state again; the others are then held or counted.
    for (const each of held) {
      if (isGap(each)) this.#onGap(each);
      else this.#onBatch(each);
    }
  }

  /** Asks for the node's state and sends it page by page as the client takes it. */
  async #snapshot(): Promise<boolean> {
    this.#overflowed = false;
    const counts: Record<string, number> = {};
    try {
      for await (const page of this.#source.snapshot({ filter: this.#filter }, this.#turns)) {
        if (this.#spoilt()) return false;
        if (page.page === 0) this.#reach(page.epoch, page.seq);
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

  /** The snapshot holds everything up to this batch: what was held of it is not sent again. */
  #reach(epoch: number, seq: number): void {
    this.#at = { epoch, seq };
    const beyond = this.#held.findLastIndex(
      (each) => !isGap(each) && (each.epoch < epoch || (each.epoch === epoch && each.seq <= seq)),
    );
    const held = this.#held;
    const [gap, follower] = held.slice(beyond + 1);
    // A gap that ends at the snapshot's end is within it, like the batches before it.
    const covered = gap !== undefined && isGap(gap) && follower !== undefined && !isGap(follower);
    const from = covered && follower.epoch === epoch && follower.seq === seq + 1 ? 2 : 1;
    const kept = held.slice(beyond + from);
    this.#release(held.slice(0, beyond + from));
    this.#held = kept;
    this.#heldEvents = kept.reduce((sum, each) => sum + (isGap(each) ? 1 : each.rows.length), 0);
    this.#begun = true;
    // From here on the client has a state: what it misses from now on, it is told.
    this.#tellLosses();
    this.#opened = true;
  }

  #tellLosses(): void {
    if (!this.#losses.any) return;
    const lagged = makeRow('stream.lagged', this.#losses.take(Date.now() * 1000));
    if (this.#filter.matches(lagged, this.#source.node)) {
      this.#outbox.write(rowToJson(lagged, this.#source.node));
    }
  }
}
