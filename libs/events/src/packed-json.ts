import { pieceOf, type Piece } from './byte-sink.ts';
import { eventFields, eventTypes } from './fields.ts';
import { JsonBytes } from './json-bytes.ts';
import type { EventType } from './types.ts';

/** Where a packed row lies: a MessagePack message that was checked as a whole. */
export interface PackedRow {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Type and time of the row, and where the columns after its time begin and end. */
  readonly type: EventType;
  readonly micros: number;
  readonly begin: number;
  readonly end: number;
  /** The value that begins at a place of the message, and where it ends. */
  decode(at: number): unknown;
  endOf(at: number): number;
}

/** Neighbouring columns whose values mostly come together, as first and last: what was made of them is kept. */
const runs: readonly (readonly [string, string])[] = [
  ['protocol', 'direction'],
  ['pid', 'containerName'],
  ['actualRemoteIP', 'hostname'],
];

/** Of each type and column, as in a row: how many columns the run has that begins here; else 0. */
const runLengths = new Map<EventType, Uint8Array>(
  eventTypes.map((type) => {
    const names: readonly string[] = eventFields[type];
    const lengths = names.map((name) => {
      const last = runs.find(([first]) => first === name)?.[1];
      return last === undefined ? 0 : Math.max(0, names.indexOf(last) - names.indexOf(name) + 1);
    });
    return [type, Uint8Array.from([0, ...lengths])];
  }),
);

/** Slots for runs, a power of two; a run that finds its slot taken takes it over. */
const SLOTS_LOG2 = 10;
/** Longer runs are not kept, neither packed nor as JSON. */
const KEPT_BYTES = 1024;

/** The bytes of a run, and what was written for them. */
interface Run {
  /** Type and column of its first value: equal bytes mean other columns elsewhere. */
  readonly type: EventType;
  readonly index: number;
  readonly packed: Piece;
  readonly json: Piece;
}

const kept = new Array<Run | undefined>(1 << SLOTS_LOG2).fill(undefined);

/** Where a run's slot is: told by all of its bytes, as most runs differ in few. */
function slotOf(view: DataView, begin: number, end: number): number {
  let hash = end - begin;
  let at = begin;
  for (; at + 4 <= end; at += 4) hash = Math.imul(hash ^ view.getInt32(at), 0x9e3779b1);
  for (; at < end; at++) hash = Math.imul(hash ^ view.getUint8(at), 0x9e3779b1);
  return (hash ^ (hash >>> 15)) & ((1 << SLOTS_LOG2) - 1);
}

function isSame({ view, length }: Piece, other: DataView, begin: number): boolean {
  let i = 0;
  for (; i + 4 <= length; i += 4) if (view.getInt32(i) !== other.getInt32(begin + i)) return false;
  for (; i < length; i++) if (view.getUint8(i) !== other.getUint8(begin + i)) return false;
  return true;
}

const QUOTE = 0x22;
/** Bytes of a text that JSON has as they are: printable ASCII but for quote and backslash. */
const plain = Uint8Array.from({ length: 256 }, (_, byte) => {
  return byte >= 0x20 && byte < 0x7f && byte !== QUOTE && byte !== 0x5c ? 1 : 0;
});

/** Written as JSON straight from MessagePack, without the values in between. */
export class PackedJson extends JsonBytes {
  /** Writes the event of a packed row as `write` would that of the row. */
  writePacked(row: PackedRow, nodeName: string): void {
    const { keys } = this.begin(row.type, row.micros, nodeName);
    const lengths = runLengths.get(row.type);
    const { end } = row;
    let at = row.begin;
    for (let index = 2; at < end && index < keys.length; index++) {
      const length = lengths?.[index] ?? 0;
      if (length > 0) {
        at = this.#run(row, keys, index, length, at);
        index += length - 1;
      } else at = this.#packed(row, keys[index] ?? noKey, at);
    }
    this.finish();
  }

  /** Writes columns that come together; the row may end before them. */
  #run(row: PackedRow, keys: readonly Piece[], index: number, length: number, begin: number) {
    const { view } = row;
    let end = begin;
    for (let i = 0; i < length && end < row.end; i++) end = row.endOf(end);
    const slot = slotOf(view, begin, end);
    const run = kept[slot];
    if (
      run?.packed.length === end - begin &&
      run.index === index &&
      run.type === row.type &&
      isSame(run.packed, view, begin)
    ) {
      this.piece(run.json);
      return end;
    }
    const from = this.at;
    let at = begin;
    for (let i = index; at < end; i++) at = this.#packed(row, keys[i] ?? noKey, at);
    if (end - begin <= KEPT_BYTES && this.at - from <= KEPT_BYTES) {
      kept[slot] = {
        ...{ type: row.type, index },
        packed: pieceOf(row.bytes.subarray(begin, end)),
        json: pieceOf(this.slice(from, this.at)),
      };
    }
    return end;
  }

  /** Writes a column from the packed value at a place; returns where the value ends. */
  #packed(row: PackedRow, key: Piece, at: number): number {
    const { view, bytes } = row;
    const token = bytes[at] ?? 0;
    if (token === 0xc0) return at + 1;
    if (token < 0x80) return this.#number(key, token, at + 1);
    if (token >= 0xa0 && token < 0xc0) {
      const end = at + 1 + (token & 0x1f);
      if (this.#plainText(key, bytes, at + 1, end)) return end;
    }
    if (token === 0xcc) return this.#number(key, bytes[at + 1] ?? 0, at + 2);
    if (token === 0xcd) return this.#number(key, view.getUint16(at + 1), at + 3);
    if (token === 0xce) return this.#number(key, view.getUint32(at + 1), at + 5);
    if (token === 0xcb) {
      const value = view.getFloat64(at + 1);
      if (value >= 0 && value <= Number.MAX_SAFE_INTEGER && value === Math.floor(value))
        return this.#number(key, value, at + 9);
    }
    const value = row.decode(at);
    if (value !== null && value !== undefined) this.column(key, value);
    return row.endOf(at);
  }

  #number(key: Piece, value: number, end: number): number {
    this.piece(key);
    this.integer(value);
    return end;
  }

  /** False, and nothing written, when the text needs more than quotes. */
  #plainText(key: Piece, from: Uint8Array, begin: number, end: number): boolean {
    const start = this.at;
    this.piece(key);
    this.room(end - begin + 2);
    const { bytes } = this;
    let at = this.at;
    bytes[at++] = QUOTE;
    for (let i = begin; i < end; i++) {
      const byte = from[i] ?? 0;
      if (plain[byte] === 0) {
        this.at = start;
        return false;
      }
      bytes[at++] = byte;
    }
    bytes[at++] = QUOTE;
    this.at = at;
    return true;
  }
}

const noKey = pieceOf('');
