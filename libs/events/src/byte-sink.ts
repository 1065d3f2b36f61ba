/**
 * Bytes that are copied often: laid out so that four can be copied at a time. The view is at least `length` long and
 * its own length a multiple of four.
 */
export interface Piece {
  readonly view: DataView;
  readonly length: number;
}

const encoder = new TextEncoder();

/** A piece of its own with these bytes. */
export function pieceOf(bytes: Uint8Array | string): Piece {
  const from = typeof bytes === 'string' ? encoder.encode(bytes) : bytes;
  const padded = new Uint8Array((from.length + 3) & ~3);
  padded.set(from);
  return { view: new DataView(padded.buffer), length: from.length };
}

const ZERO = 0x30;
/** From here on the engine's own copy is faster than a loop. */
const LONG_COPY = 256;
/** What copying four bytes at a time may write behind the end. */
const SLACK = 3;

/** "00" to "99". */
const digitPairs = Uint16Array.from({ length: 100 }, (_, n) => {
  return ((ZERO + Math.floor(n / 10)) << 8) | (ZERO + (n % 10));
});

/** Bytes that grow at their end: text that is written where it will be sent from. */
export class ByteSink {
  protected bytes: Uint8Array;
  protected view: DataView;
  /** Where the next byte goes. */
  protected at = 0;

  /** @param capacity bytes that are expected */
  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity + SLACK);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Where the next byte goes. */
  get end(): number {
    return this.at;
  }

  /** The bytes between two places; a view that stays as it is. */
  slice(begin: number, end: number): Uint8Array {
    return this.bytes.subarray(begin, end);
  }

  byte(value: number): void {
    this.room(1);
    this.bytes[this.at++] = value;
  }

  piece({ view, length }: Piece): void {
    this.room(length);
    const { at } = this;
    const to = this.view;
    for (let i = 0; i < length; i += 4) to.setInt32(at + i, view.getInt32(i));
    this.at = at + length;
  }

  text(text: string): void {
    this.copy(encoder.encode(text));
  }

  copy(from: Uint8Array): void {
    const { length } = from;
    this.room(length);
    const { bytes, at } = this;
    if (length >= LONG_COPY) bytes.set(from, at);
    else for (let i = 0; i < length; i++) bytes[at + i] = from[i] ?? 0;
    this.at = at + length;
  }

  /** The digits of an integer from 0 to 2^53. */
  integer(value: number): void {
    if (value >= 1e9) {
      const upper = Math.floor(value / 1e9);
      this.integer(upper);
      this.digits(value - upper * 1e9, 9);
      return;
    }
    let length = 1;
    for (let bound = 10; value >= bound; bound *= 10) length++;
    this.digits(value, length);
  }

  /** The last digits of an integer from 0 to 2^31, so many, with zeros before them. */
  protected digits(value: number, length: number): void {
    this.room(length);
    const { view, bytes, at } = this;
    let rest = value | 0;
    let to = at + length;
    for (; to - at >= 2; to -= 2) {
      const hundredth = (rest / 100) | 0;
      view.setUint16(to - 2, digitPairs[rest - hundredth * 100] ?? 0);
      rest = hundredth;
    }
    if (to > at) bytes[at] = ZERO + (rest % 10);
    this.at = at + length;
  }

  /** Makes room for so many bytes, and for what copying may write behind them. */
  protected room(bytes: number): void {
    if (this.at + bytes + SLACK > this.bytes.length) this.#grow(this.at + bytes + SLACK);
  }

  #grow(least: number): void {
    const larger = new Uint8Array(Math.max(2 * this.bytes.length, least));
    larger.set(this.bytes.subarray(0, this.at));
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }
}
