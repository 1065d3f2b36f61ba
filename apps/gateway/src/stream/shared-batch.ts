import { rowToJson, type EventRow, type Filter } from '@netstatd/events';
import type { Batch } from '@netstatd/stream';

let lastId = 0;

/** Events of one node that clients with equal filters share as text. */
export interface SharedText {
  /** Equal ids mean equal text. */
  readonly id: string;
  /** JSON objects joined by commas: an array without its brackets, in UTF-8. */
  readonly bytes: Buffer;
  readonly events: number;
}

/**
 * A batch of events from the bus, decoded once. Its JSON is made once per event and only when a
 * client wants it; what a filter selects is found once per filter, however many clients use it.
 */
export class SharedBatch {
  readonly node: string;
  readonly epoch: number;
  readonly seq: number;
  /** Events of the epoch before this batch. */
  readonly before: number;
  /** Events of the epoch up to the end of this batch. */
  readonly events: number;
  readonly rows: readonly EventRow[];
  readonly #id = String((lastId += 1));
  readonly #texts: (string | undefined)[] = [];
  readonly #frames: (Buffer | undefined)[] = [];
  /** Selected row indexes, and their joined text, by filter key: as many as clients' filters. */
  readonly #selections = new Map<string, readonly number[]>();
  readonly #joined = new Map<string, SharedText>();

  constructor({ node, epoch, seq, before, rows, skipped }: Batch) {
    this.node = node;
    this.epoch = epoch;
    this.seq = seq;
    this.before = before;
    this.events = before + rows.length + skipped;
    this.rows = rows;
  }

  /** Indexes of the rows that pass the filter. */
  select(filter: Filter): readonly number[] {
    let selected = this.#selections.get(filter.key);
    if (selected === undefined) {
      const matching: number[] = [];
      for (const [index, row] of this.rows.entries()) {
        if (filter.matches(row, this.node)) matching.push(index);
      }
      selected = matching;
      this.#selections.set(filter.key, selected);
    }
    return selected;
  }

  /** One event as a text frame's payload. */
  frame(index: number): Buffer {
    return (this.#frames[index] ??= Buffer.from(this.#text(index)));
  }

  /** All events that pass the filter, for one frame of many events. */
  join(filter: Filter): SharedText {
    let joined = this.#joined.get(filter.key);
    if (joined === undefined) {
      const selected = this.select(filter);
      // Concatenated, not joined: the pieces are copied once, when the bytes are made.
      let text = '';
      for (const index of selected) text += (text === '' ? '' : ',') + this.#text(index);
      const bytes = Buffer.from(text);
      joined = { id: `${this.#id} ${filter.key}`, bytes, events: selected.length };
      this.#joined.set(filter.key, joined);
    }
    return joined;
  }

  #text(index: number): string {
    const row = this.rows[index];
    return (this.#texts[index] ??= row === undefined ? '' : rowToJson(row, this.node));
  }
}
