import type { BusLog } from '@netstatd/bus';
import { subjects } from '@netstatd/bus';
import type { EventRow } from '@netstatd/events';
import { trimRow } from '@netstatd/events';
import type { StreamBus } from './bus.ts';
import { lostBy } from './lost.ts';
import { PROTOCOL_VERSION } from './message.ts';
import { MESSAGE_ROWS, packRows } from './pack-rows.ts';
import type { ResponderCounters, SnapshotSource } from './snapshot-responder.ts';
import { SnapshotResponder } from './snapshot-responder.ts';

export interface StreamPublisherOptions {
  readonly bus: StreamBus;
  /** The node's name. */
  readonly node: string;
  /** Start of this publisher, milliseconds since 1970; new at each start. Now by default. */
  readonly epoch?: number;
  /** The node's state at the moment of the call. */
  readonly snapshot: SnapshotSource;
  readonly log: BusLog;
  readonly maxDelayMs?: number;
  readonly beatMs?: number;
}

/** Since the start. */
export interface StreamPublisherCounters extends ResponderCounters {
  /** Rows given to {@link StreamPublisher.publish}. */
  events: number;
  batches: number;
  /** Of these, what the bus did not take; readers see the jump in `seq` and count it. */
  droppedEvents: number;
  droppedBatches: number;
  /** Rows too large for a message; nobody sees them. */
  oversizedRows: number;
}

/** Longest time that a row waits for company, in milliseconds. */
const MAX_DELAY_MS = 10;
/**
 * Without rows an empty batch is sent this often, in milliseconds: a reader that missed the last
 * batch before a silence learns of it, and of a publisher that was started again.
 */
const BEAT_MS = 1000;

/**
 * Publishes a node's events as a stream that readers can follow without gaps: batches are
 * numbered within an epoch, say how many events and told losses came before, and the state at any
 * number can be asked for.
 */
export class StreamPublisher {
  readonly epoch: number;
  readonly #options: StreamPublisherOptions;
  readonly #subject: string;
  readonly #responder: SnapshotResponder;
  readonly #beat: NodeJS.Timeout;
  readonly #counters = {
    events: 0,
    batches: 0,
    droppedEvents: 0,
    droppedBatches: 0,
    oversizedRows: 0,
  };
  #rows: EventRow[] = [];
  #timer: NodeJS.Timeout | undefined;
  #seq = 0;
  #before = 0;
  /** What the rows up to there say was lost. */
  #lost = 0;
  #sentSinceBeat = false;

  /** Answers snapshot requests from here on. Throws a RangeError on a bad node name. */
  constructor(options: StreamPublisherOptions) {
    const { bus, node, log, snapshot } = options;
    this.epoch = options.epoch ?? Date.now();
    this.#options = options;
    this.#subject = subjects(node).events;
    this.#responder = new SnapshotResponder({
      bus,
      node,
      log,
      snapshot,
      place: () => {
        this.flush();
        return { epoch: this.epoch, seq: this.#seq, ...this.#sent() };
      },
    });
    this.#beat = setInterval(() => {
      if (!this.#sentSinceBeat) this.#send([]);
      this.#sentSinceBeat = false;
    }, options.beatMs ?? BEAT_MS);
  }

  /** Number of the last batch; 0 before the first. */
  get seq(): number {
    return this.#seq;
  }

  get counters(): Readonly<StreamPublisherCounters> {
    return { ...this.#counters, ...this.#responder.counters };
  }

  /** Takes a row, which must not be changed afterwards; it leaves within 10 ms. */
  publish(row: EventRow): void {
    this.#counters.events++;
    this.#rows.push(trimRow(row));
    if (this.#rows.length >= MESSAGE_ROWS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), this.#options.maxDelayMs ?? MAX_DELAY_MS);
  }

  /** Sends what waits. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#rows.length === 0) return;
    const rows = this.#rows;
    this.#rows = [];
    this.#send(rows);
  }

  /** Sends what waits and ends; requests are no longer answered. */
  close(): void {
    this.flush();
    clearInterval(this.#beat);
    this.#responder.close();
  }

  /** What went before, as messages say it. */
  #sent(): { before: number; lost?: number } {
    return { before: this.#before, ...(this.#lost > 0 && { lost: this.#lost }) };
  }

  #send(rows: readonly EventRow[]): void {
    const { bus, node, log } = this.#options;
    const counters = this.#counters;
    const messages = packRows(rows, (body) => ({
      v: PROTOCOL_VERSION,
      node,
      epoch: this.epoch,
      seq: this.#seq + 1,
      ...this.#sent(),
      ...body,
    }));
    for (const message of messages) {
      if ('oversized' in message) {
        if (counters.oversizedRows++ === 0)
          log.warn({ type: message.oversized[0] }, 'an event is too large for the bus');
        continue;
      }
      this.#seq++;
      this.#before += message.rows.length;
      for (const row of message.rows) this.#lost += lostBy(row);
      this.#sentSinceBeat = true;
      counters.batches++;
      if (bus.publish(this.#subject, message.payload)) continue;
      counters.droppedBatches++;
      counters.droppedEvents += message.rows.length;
    }
  }
}
