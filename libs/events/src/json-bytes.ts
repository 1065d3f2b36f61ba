import { ByteSink, pieceOf, type Piece } from './byte-sink.ts';
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

const quotedTexts = new Map<string, Piece>();

function quoted(text: string): Piece {
  let piece = quotedTexts.get(text);
  if (piece === undefined) {
    piece = pieceOf(quote(text));
    if (text.length > KEPT_LENGTH) return piece;
    if (quotedTexts.size >= KEPT_TEXTS) quotedTexts.clear();
    quotedTexts.set(text, piece);
  }
  return piece;
}

/** How the events of one type begin, and their columns. */
interface Form {
  readonly head: Piece;
  /** Of each column: `,"name":`. */
  readonly keys: readonly Piece[];
}

const forms = new Map<EventType, Form>(
  eventTypes.map((type) => [
    type,
    {
      head: pieceOf(`{"type":"${type}","timestamp":"`),
      keys: ['', ...eventFields[type].map((name) => `,"${name}":`)].map(pieceOf),
    },
  ]),
);

const COMMA = 0x2c;
const COLON = 0x3a;
const OPENING = 0x7b;
const CLOSING = 0x7d;

/** Events as JSON in UTF-8, each with a comma after it, in bytes that grow. */
export class JsonBytes extends ByteSink {
  #second = NaN;
  /** RFC 3339 up to the second's point. */
  #time = pieceOf('');
  #node: string | undefined;
  /** `Z","nodeName":` and the node, quoted. */
  #nodePiece = pieceOf('');

  /**
   * Writes the event of a row; it ends one before `end`, where the comma is.
   * @throws {TypeError} when the row is of no known type; rows from outside go through `rowMapper` first.
   */
  write(row: EventRow, nodeName: string): void {
    const { keys } = this.begin(row[0], rowMicros(row), nodeName);
    const length = Math.min(row.length, keys.length);
    for (let index = 2; index < length; index++) {
      const value = row[index];
      const key = keys[index];
      if (value !== undefined && value !== null && key !== undefined) this.column(key, value);
    }
    this.finish();
  }

  /** Writes what every event has. @throws {TypeError} when there is no such type */
  protected begin(type: EventType, micros: number, nodeName: string): Form {
    const form = forms.get(type);
    if (!form) throw new TypeError(`unknown type of event: ${printable(type)}`);
    this.piece(form.head);
    this.#timestamp(micros);
    if (nodeName !== this.#node) {
      this.#node = nodeName;
      this.#nodePiece = pieceOf(`Z","nodeName":${quote(nodeName)}`);
    }
    this.piece(this.#nodePiece);
    return form;
  }

  protected finish(): void {
    this.byte(CLOSING);
    this.byte(COMMA);
  }

  /** Writes a column's key and value, or nothing when there is no JSON of it. */
  protected column(key: Piece, value: unknown): void {
    const begin = this.at;
    this.piece(key);
    if (!this.#value(value)) this.at = begin;
  }

  /** False when there is no JSON of it; then nothing was written. */
  #value(value: unknown): boolean {
    if (typeof value === 'string') this.piece(quoted(value));
    else if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) {
      if (Number.isInteger(value)) this.integer(value);
      else this.text(String(value));
    } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      this.#object(value as Readonly<Record<string, unknown>>);
    } else {
      const text = jsonText(value);
      if (text === undefined) return false;
      this.text(text);
    }
    return true;
  }

  #object(value: Readonly<Record<string, unknown>>): void {
    this.byte(OPENING);
    let first = true;
    for (const key of Object.keys(value)) {
      const begin = this.at;
      if (!first) this.byte(COMMA);
      this.piece(quoted(key));
      this.byte(COLON);
      if (this.#value(value[key])) first = false;
      else this.at = begin;
    }
    this.byte(CLOSING);
  }

  /** The time but for its `Z`. */
  #timestamp(micros: number): void {
    const second = Math.floor(micros / 1e6);
    if (second === this.#second && micros >= 0) {
      this.piece(this.#time);
      this.digits(Math.floor(micros) - second * 1e6, 6);
      return;
    }
    const text = formatMicros(micros);
    // What lies outside is moved to the bounds there, and not kept.
    const isKept = micros >= 0 && micros <= Number.MAX_SAFE_INTEGER;
    this.#second = isKept ? second : NaN;
    this.#time = pieceOf(text.slice(0, 20));
    this.text(text.slice(0, -1));
  }
}
