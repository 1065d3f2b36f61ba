import type { PackedArray } from '@netstatd/bus';
import type { ColumnOrders, EventRow, EventType, PackedRow } from '@netstatd/events';
import { PackedJson, rowMapper } from '@netstatd/events';
import { lostBy } from './lost.ts';

/** The rows of a message as they came: a row is decoded, or written as JSON without being decoded, when it is wanted. */
export class PackedRows implements Iterable<EventRow> {
  /** Rows that are none of ours: other types, or no rows at all. */
  readonly skipped: number;
  /** What the `stream.lagged` among the rows say was lost, in sum. */
  readonly lost: number;
  readonly #packed: PackedArray;
  readonly #toOurs: (row: unknown) => EventRow | undefined;
  /** Of each row that is one of ours: its number among all, its type, and whether its columns are in our order. */
  readonly #numbers: number[] = [];
  readonly #types: EventType[] = [];
  readonly #ordered: boolean[] = [];
  readonly #window: Window;

  /** @param packed from a message that was checked as a whole */
  constructor(packed: PackedArray, orders: ColumnOrders) {
    this.#packed = packed;
    this.#toOurs = rowMapper(orders);
    this.#window = new Window(packed);
    const types = new TypeReader(packed);
    let lost = 0;
    for (let i = 0; i < packed.length; i++) {
      const type = types.typeOf(i);
      const order = type === undefined ? undefined : orders.get(type);
      if (order === undefined) continue;
      const isOrdered = order === 'same';
      if (isOrdered ? !types.hasTime : typeof this.#decode(i)?.[1] !== 'number') continue;
      this.#numbers.push(i);
      this.#types.push(type as EventType);
      this.#ordered.push(isOrdered);
      if (type === 'stream.lagged') lost += lostBy(this.row(this.length - 1));
    }
    this.lost = lost;
    this.skipped = packed.length - this.#numbers.length;
  }

  get length(): number {
    return this.#numbers.length;
  }

  /** Decodes a row, in our column order, anew at each call. @throws RangeError when there is none */
  row(index: number): EventRow {
    const row = this.#decode(this.#numbers[index] ?? -1);
    if (row === undefined) throw new RangeError(`row ${index} of ${this.length}`);
    return row;
  }

  *[Symbol.iterator](): Iterator<EventRow> {
    for (let i = 0; i < this.length; i++) yield this.row(i);
  }

  /** Writes the event of a row. @throws RangeError when there is none */
  writeJson(index: number, json: PackedJson, nodeName: string): void {
    const number = this.#numbers[index];
    const type = this.#types[index];
    if (number === undefined || type === undefined || !this.#ordered[index]) {
      json.write(this.row(index), nodeName);
      return;
    }
    this.#window.show(number, type);
    json.writePacked(this.#window, nodeName);
  }

  #decode(number: number): EventRow | undefined {
    const begin = this.#packed.begins[number];
    return begin === undefined ? undefined : this.#toOurs(this.#packed.decode(begin));
  }
}

/** Bytes of the head of an array by its first one: an array of up to 15 values, or of more. */
function arrayHead(token: number): number {
  if ((token & 0xf0) === 0x90) return 1;
  return token === 0xdc ? 3 : token === 0xdd ? 5 : 0;
}

function isNumber(token: number): boolean {
  return token < 0x80 || token >= 0xe0 || (token >= 0xca && token <= 0xd3);
}

/** Reads what rows begin with. Rows of one type mostly follow each other: it is read once for all of them. */
class TypeReader {
  readonly #packed: PackedArray;
  #type: string | undefined;
  #begin = 0;
  #bytes = 0;
  /** Whether a number follows the type that was read last. */
  hasTime = false;

  constructor(packed: PackedArray) {
    this.#packed = packed;
  }

  /** The type of an element; undefined when it is no row. */
  typeOf(number: number): string | undefined {
    const { bytes, begins } = this.#packed;
    const begin = begins[number] ?? 0;
    const end = begins[number + 1] ?? 0;
    const head = arrayHead(bytes[begin] ?? 0);
    const at = begin + head;
    if (head === 0 || at >= end) return undefined;
    if (!this.#isLast(at, end)) this.#read(at);
    const timeAt = at + this.#bytes;
    this.hasTime = timeAt < end && isNumber(bytes[timeAt] ?? 0);
    return this.#type;
  }

  #isLast(at: number, end: number): boolean {
    if (this.#type === undefined || at + this.#bytes > end) return false;
    const { bytes } = this.#packed;
    for (let i = 0; i < this.#bytes; i++)
      if (bytes[at + i] !== bytes[this.#begin + i]) return false;
    return true;
  }

  #read(at: number): void {
    const value = this.#packed.decode(at);
    this.#type = typeof value === 'string' ? value : undefined;
    this.#begin = at;
    this.#bytes = this.#packed.endOf(at) - at;
  }
}

/** Shows one row after the other; one object for all of them. */
class Window implements PackedRow {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  type: EventType = 'connection.event';
  micros = 0;
  begin = 0;
  end = 0;
  readonly #packed: PackedArray;

  constructor(packed: PackedArray) {
    this.bytes = packed.bytes;
    this.view = packed.view;
    this.#packed = packed;
  }

  show(number: number, type: EventType): void {
    const { bytes, view } = this;
    const { begins } = this.#packed;
    const begin = begins[number] ?? 0;
    this.type = type;
    this.end = begins[number + 1] ?? 0;
    // Types have more bytes than one and less than 32.
    const timeAt = this.endOf(begin + arrayHead(bytes[begin] ?? 0));
    const isFloat = bytes[timeAt] === 0xcb;
    this.micros = isFloat ? view.getFloat64(timeAt + 1) : Number(this.decode(timeAt));
    this.begin = isFloat ? timeAt + 9 : this.endOf(timeAt);
  }

  decode(at: number): unknown {
    return this.#packed.decode(at);
  }

  endOf(at: number): number {
    return this.#packed.endOf(at);
  }
}
