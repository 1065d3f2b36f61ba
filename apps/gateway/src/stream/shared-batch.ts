import { PackedJson, type EventRow, type Filter } from '@netstatd/events';
import type { Batch, PackedRows } from '@netstatd/stream';

let lastId = 0;

/** About what an event's JSON takes, for the first guess of a batch's. */
const eventBytes = 512;

/** Events of one node that clients with equal filters share as text. */
export interface SharedText {
  /** Equal ids mean equal text. */
  readonly id: string;
  /** JSON objects joined by commas: an array without its brackets, in UTF-8. */
  readonly bytes: Buffer;
  readonly events: number;
}

/**
 * A batch of events from the bus. Its JSON is made once per event and only when a client wants it; what a filter selects is found once per filter, however many clients use it.
 */
export class SharedBatch {
  readonly node: string;
  readonly epoch: number;
  readonly seq: number;
  /** Events of the epoch before this batch. */
  readonly before: number;
  /** Events of the epoch up to the end of this batch. */
  readonly events: number;
  /** What `stream.lagged` in the epoch before this batch say was lost, in sum. */
  readonly lostBefore: number;
  /** The same up to the end of this batch. */
  readonly lost: number;
  readonly rows: PackedRows;
  readonly #id = String((lastId += 1));
  #json: PackedJson | undefined;
  /** Decoded for the first filter, for all. */
  #decoded: readonly EventRow[] | undefined;
  /** Where the JSON of each row begins and ends in `#json`, when it has been made. */
  readonly #begins: number[] = [];
  readonly #ends: number[] = [];
  /** Selected row indexes, and their joined text, by filter key: as many as clients' filters. */
  readonly #selections = new Map<string, readonly number[]>();
  readonly #joined = new Map<string, SharedText>();

  constructor({ node, epoch, seq, before, lost, rows }: Batch) {
    this.node = node;
    this.epoch = epoch;
    this.seq = seq;
    this.before = before;
    this.events = before + rows.length + rows.skipped;
    this.lostBefore = lost;
    this.lost = lost + rows.lost;
    this.rows = rows;
  }

  /** Indexes of the rows that pass the filter. */
  select(filter: Filter): readonly number[] {
    let selected = this.#selections.get(filter.key);
    if (selected === undefined) {
      selected =
        filter.key === ''
          ? Array.from({ length: this.rows.length }, (_, index) => index)
          : this.#matching(filter);
      this.#selections.set(filter.key, selected);
    }
    return selected;
  }

  #matching(filter: Filter): readonly number[] {
    const rows = (this.#decoded ??= [...this.rows]);
    const matching: number[] = [];
    for (const [index, row] of rows.entries())
      if (filter.matches(row, this.node)) matching.push(index);
    return matching;
  }

  /** One event as a text frame's payload. */
  frame(index: number): Buffer {
    const json = this.#make(index);
    return asBuffer(json.slice(this.#begins[index] ?? 0, this.#ends[index] ?? 0));
  }

  /** All events that pass the filter, for one frame of many events. */
  join(filter: Filter): SharedText {
    let joined = this.#joined.get(filter.key);
    if (joined === undefined) {
      const selected = this.select(filter);
      const id = `${this.#id} ${filter.key}`;
      joined = { id, bytes: this.#bytesOf(selected), events: selected.length };
      this.#joined.set(filter.key, joined);
    }
    return joined;
  }

  /** Rows that were made one after the other lie joined already; others are copied together. */
  #bytesOf(selected: readonly number[]): Buffer {
    const [first] = selected;
    const last = selected.at(-1);
    if (first === undefined || last === undefined) return Buffer.alloc(0);
    this.#json ??= new PackedJson(selected.length * eventBytes);
    for (const index of selected) this.#make(index);
    const json = this.#make(last);
    const inLine = selected.every(
      (index, i) => i === 0 || this.#begins[index] === (this.#ends[selected[i - 1] ?? 0] ?? 0) + 1,
    );
    if (inLine) return asBuffer(json.slice(this.#begins[first] ?? 0, this.#ends[last] ?? 0));
    // With its comma each, but for the last.
    const pieces = selected.map((index) =>
      json.slice(this.#begins[index] ?? 0, (this.#ends[index] ?? 0) + (index === last ? 0 : 1)),
    );
    return Buffer.concat(pieces);
  }

  /** Makes the JSON of a row, once. */
  #make(index: number): PackedJson {
    const json = (this.#json ??= new PackedJson(8 * eventBytes));
    if (this.#ends[index] !== undefined) return json;
    this.#begins[index] = json.end;
    this.rows.writeJson(index, json, this.node);
    this.#ends[index] = json.end - 1;
    return json;
  }
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
