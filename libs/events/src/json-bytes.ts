import { eventFields, eventTypes } from './fields.ts';
import { jsonText, quote } from './json.ts';
import { rowMicros, type EventRow } from './rows.ts';
import { formatMicros, printable } from './text.ts';
import type { EventType } from './types.ts';

/**
 * The same text as `rowToJson`, but written as UTF-8 where it will be sent from. A string made of pieces has to be
 * flattened and encoded afterwards, which takes longer than to make it; and most pieces are bytes seen before.
 */

/** Quoted texts that are kept: addresses, names, executables. Then all are forgotten and gathered anew. */
const KEPT_TEXTS = 16_384;
/** Texts longer than this are not kept. */
const KEPT_LENGTH = 256;
/** From here on the engine's own copy is faster than a loop. */
const LONG_COPY = 32;

const encoder = new TextEncoder();
const quotedTexts = new Map<string, Uint8Array>();

function quoted(text: string): Uint8Array {
  let bytes = quotedTexts.get(text);
  if (bytes === undefined) {
    bytes = encoder.encode(quote(text));
    if (text.length > KEPT_LENGTH) return bytes;
    if (quotedTexts.size >= KEPT_TEXTS) quotedTexts.clear();
    quotedTexts.set(text, bytes);
  }
  return bytes;
}

interface Form {
  readonly head: Uint8Array;
  /** Of each column: `,"name":`. */
  readonly keys: readonly Uint8Array[];
  /** Of a column that begins a run: where the run ends; else 0. */
  readonly runEnds: readonly number[];
}

/** Neighbouring columns whose values mostly come together, as first and last: what was made of them is kept. */
const runs: readonly (readonly [string, string])[] = [
  ['protocol', 'direction'],
  ['pid', 'containerName'],
];
/** Slots for runs, a power of two; a run that finds its slot taken takes it over. */
const RUN_SLOTS = 1024;
/** A longer run is not kept. */
const KEPT_RUN_BYTES = 1024;

/** A run's values, and what was written for them. */
interface Run {
  readonly values: readonly unknown[];
  readonly bytes: Uint8Array;
}

const keptRuns = new Array<Run | undefined>(RUN_SLOTS).fill(undefined);

function runSlot(row: EventRow, begin: number, end: number): number {
  let hash = begin;
  for (let index = begin; index < end; index++) {
    const value = row[index];
    if (typeof value === 'number') hash = Math.imul(hash, 31) + (value | 0);
    else if (typeof value === 'string') hash = Math.imul(hash, 31) + value.length;
  }
  return (Math.imul(hash, 0x9e3779b1) >>> 16) & (RUN_SLOTS - 1);
}

function isRun(run: Run, row: EventRow, begin: number, end: number): boolean {
  const { values } = run;
  if (values.length !== end - begin + 1 || values[end - begin] !== begin) return false;
  for (let index = begin; index < end; index++)
    if (values[index - begin] !== row[index]) return false;
  return true;
}

const forms = new Map<EventType, Form>(
  eventTypes.map((type) => [
    type,
    {
      head: encoder.encode(`{"type":"${type}","timestamp":"`),
      keys: ['', ...eventFields[type].map((name) => `,"${name}":`)].map((key) =>
        encoder.encode(key),
      ),
      runEnds: ['', ...eventFields[type]].map((name, index, names) => {
        const run = runs.find(([first]) => first === name);
        const end = run ? names.indexOf(run[1]) + 1 : 0;
        return end > index ? end : 0;
      }),
    },
  ]),
);

const nodeKey = encoder.encode('","nodeName":');
const COMMA = 0x2c;
const COLON = 0x3a;
const OPENING = 0x7b;
const CLOSING = 0x7d;
const ZERO = 0x30;

/** Events as JSON in UTF-8, each with a comma after it, in bytes that grow. */
export class JsonBytes {
  #bytes: Uint8Array;
  #end = 0;
  #second = -1;
  /** RFC 3339 up to the second's point. */
  #time = new Uint8Array(0);

  /** @param capacity bytes that are expected */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
  }

  /** Where the next event begins. */
  get end(): number {
    return this.#end;
  }

  /** The bytes between two places; a view that stays as it is. */
  view(begin: number, end: number): Uint8Array {
    return this.#bytes.subarray(begin, end);
  }

  /**
   * Writes the event of a row; it ends one before `end`, where the comma is.
   * @throws {TypeError} when the row is of no known type; rows from outside go through `rowMapper` first.
   */
  write(row: EventRow, nodeName: string): void {
    const form = forms.get(row[0]);
    if (!form) throw new TypeError(`unknown type of event: ${printable(row[0])}`);
    const { head, keys, runEnds } = form;
    this.#copy(head);
    this.#timestamp(rowMicros(row));
    this.#copy(nodeKey);
    this.#copy(quoted(nodeName));
    const length = Math.min(row.length, keys.length);
    for (let index = 2; index < length; index++) {
      const runEnd = runEnds[index] ?? 0;
      if (runEnd > 0 && runEnd <= length) {
        this.#run(row, keys, index, runEnd);
        index = runEnd - 1;
      } else this.#columns(row, keys, index, index + 1);
    }
    this.#room(2);
    this.#bytes[this.#end++] = CLOSING;
    this.#bytes[this.#end++] = COMMA;
  }

  #columns(row: EventRow, keys: readonly Uint8Array[], from: number, to: number): void {
    for (let index = from; index < to; index++) {
      const value = row[index];
      const key = keys[index];
      if (value === undefined || value === null || key === undefined) continue;
      const begin = this.#end;
      this.#copy(key);
      if (!this.#value(value)) this.#end = begin;
    }
  }

  #run(row: EventRow, keys: readonly Uint8Array[], from: number, to: number): void {
    const slot = runSlot(row, from, to);
    const kept = keptRuns[slot];
    if (kept !== undefined && isRun(kept, row, from, to)) {
      this.#copy(kept.bytes);
      return;
    }
    const begin = this.#end;
    this.#columns(row, keys, from, to);
    const values = row.slice(from, to);
    // Objects may change behind our back, and long texts are not worth their memory.
    if (
      this.#end - begin > KEPT_RUN_BYTES ||
      values.some((value) => typeof value === 'object' && value !== null)
    )
      return;
    keptRuns[slot] = { values: [...values, from], bytes: this.#bytes.slice(begin, this.#end) };
  }

  /** False when there is no JSON of it; then nothing was written. */
  #value(value: unknown): boolean {
    if (typeof value === 'string') this.#copy(quoted(value));
    else if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) {
      if (Number.isInteger(value)) this.#integer(value);
      else this.#copy(encoder.encode(String(value)));
    } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      this.#object(value as Readonly<Record<string, unknown>>);
    } else {
      const text = jsonText(value);
      if (text === undefined) return false;
      this.#copy(encoder.encode(text));
    }
    return true;
  }

  #object(value: Readonly<Record<string, unknown>>): void {
    this.#byte(OPENING);
    let first = true;
    for (const key of Object.keys(value)) {
      const begin = this.#end;
      if (!first) this.#byte(COMMA);
      this.#copy(quoted(key));
      this.#byte(COLON);
      if (this.#value(value[key])) first = false;
      else this.#end = begin;
    }
    this.#byte(CLOSING);
  }

  #timestamp(micros: number): void {
    const second = Math.floor(micros / 1e6);
    if (second !== this.#second || micros < 0 || micros > Number.MAX_SAFE_INTEGER) {
      // What lies outside is moved to the bounds there, and not kept.
      const text = encoder.encode(formatMicros(micros));
      this.#second = second;
      this.#time = text.subarray(0, 20);
      if (!(micros >= 0 && micros <= Number.MAX_SAFE_INTEGER)) this.#second = -1;
      this.#copy(text);
      return;
    }
    this.#copy(this.#time);
    this.#room(7);
    const bytes = this.#bytes;
    let rest = Math.floor(micros) - second * 1e6;
    for (let at = this.#end + 5; at >= this.#end; at--) {
      const tenth = (rest / 10) | 0;
      bytes[at] = ZERO + rest - tenth * 10;
      rest = tenth;
    }
    this.#end += 6;
    bytes[this.#end++] = 0x5a;
  }

  /** The digits of an integer from 0 to 2^53. */
  #integer(value: number): void {
    if (value >= 1e9) {
      const upper = Math.floor(value / 1e9);
      this.#integer(upper);
      this.#digits(value - upper * 1e9, 9);
      return;
    }
    let length = 1;
    for (let bound = 10; value >= bound; bound *= 10) length++;
    this.#digits(value, length);
  }

  #digits(value: number, length: number): void {
    this.#room(length);
    const bytes = this.#bytes;
    let rest = value | 0;
    for (let at = this.#end + length - 1; at >= this.#end; at--) {
      const tenth = (rest / 10) | 0;
      bytes[at] = ZERO + rest - tenth * 10;
      rest = tenth;
    }
    this.#end += length;
  }

  #byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#end++] = value;
  }

  #copy(from: Uint8Array): void {
    const { length } = from;
    this.#room(length);
    const to = this.#bytes;
    const at = this.#end;
    if (length >= LONG_COPY) to.set(from, at);
    else for (let i = 0; i < length; i++) to[at + i] = from[i] ?? 0;
    this.#end = at + length;
  }

  #room(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#end + bytes));
    larger.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = larger;
  }
}
