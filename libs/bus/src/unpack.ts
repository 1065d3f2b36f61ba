import { PackedArray } from './packed-array.ts';
import { skip, unspoken, UnpackError } from './skip.ts';

/** What a bus message may cost its reader; a payload over a limit is refused, never half read. */
export interface UnpackLimits {
  /** Bytes of the whole payload. */
  readonly maxBytes: number;
  /** Nesting of arrays and maps. */
  readonly maxDepth: number;
}

const defaultLimits: UnpackLimits = { maxBytes: 8 << 20, maxDepth: 16 };
/** Strings of up to this many bytes (a container id) are looked up among earlier ones. */
const INTERNED_BYTES = 64;
/** Slots of that table, a power of two: with its texts about a megabyte at most. */
const INTERNED_SLOTS_LOG2 = 12;
/** The same for strings of less than four bytes ("TCP"), which are told by one number. */
const SHORT_SLOTS_LOG2 = 8;

/**
 * A MessagePack decoder for what other processes send: no extension types, every length checked
 * against the bytes that are there before anything is allocated, depth bounded.
 *
 * Rows repeat their strings (addresses, states, executables), so short ones come out of a
 * table of earlier ones: faster than making them, and equal strings are then the same object.
 */
class Unpacker {
  #bytes: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #position = 0;
  #depth = 0;
  #maxDepth = 0;
  /** Key of the outermost map whose array is left packed. */
  #around: string | undefined;
  /** The interned strings, and in `#texts` the bytes of each at its slot. */
  readonly #strings = new Array<string>(1 << INTERNED_SLOTS_LOG2).fill('');
  readonly #shortStrings = new Array<string>(1 << SHORT_SLOTS_LOG2).fill('');
  readonly #shortKeys = new Int32Array(1 << SHORT_SLOTS_LOG2);
  readonly #texts = new DataView(new ArrayBuffer(INTERNED_BYTES << INTERNED_SLOTS_LOG2));

  unpack(payload: Uint8Array, limits: UnpackLimits): unknown {
    this.#load(payload, limits);
    const value = this.#value();
    this.#finish();
    return value;
  }

  /** As `unpack`, but the array under `key` of a map is only checked; all else is as it would be. */
  unpackAround(payload: Uint8Array, key: string, limits: UnpackLimits): unknown {
    this.#load(payload, limits);
    this.#around = key;
    const value = this.#value();
    this.#finish();
    return value;
  }

  #load(payload: Uint8Array, limits: UnpackLimits): void {
    if (payload.length > limits.maxBytes)
      throw new UnpackError(`${payload.length} bytes are more than ${limits.maxBytes}`);
    const { buffer, byteOffset, length } = payload;
    this.#bytes = Buffer.from(buffer, byteOffset, length);
    this.#view = new DataView(buffer, byteOffset, length);
    this.#position = 0;
    this.#depth = 0;
    this.#maxDepth = limits.maxDepth;
    this.#around = undefined;
  }

  #finish(): void {
    const left = this.#bytes.length - this.#position;
    if (left !== 0) throw new UnpackError(`${left} bytes follow the value`);
  }

  /** Goes to a place of a message that was checked as a whole. */
  #goTo(bytes: Buffer, view: DataView, at: number): void {
    this.#bytes = bytes;
    this.#view = view;
    this.#position = at;
    this.#depth = 0;
    this.#maxDepth = Infinity;
    this.#around = undefined;
  }

  /** Checks the array that begins here without decoding it. */
  #packedArray(length: number): PackedArray {
    this.#enter(length);
    const bytes = this.#bytes;
    const view = this.#view;
    const begins = new Uint32Array(length + 1);
    let at = this.#position;
    for (let i = 0; i < length; i++) {
      begins[i] = at;
      at = skip(bytes, at, this.#maxDepth - this.#depth);
    }
    begins[length] = this.#position = at;
    this.#depth--;
    return new PackedArray(bytes, view, begins, (from) => {
      this.#goTo(bytes, view, from);
      return this.#value();
    });
  }

  #value(): unknown {
    const at = this.#take(1);
    const token = this.#bytes[at] ?? 0;
    if (token < 0x80) return token;
    if (token < 0x90) return this.#map(token & 0x0f);
    if (token < 0xa0) return this.#array(token & 0x0f);
    if (token < 0xc0) return this.#string(token & 0x1f);
    if (token >= 0xe0) return token - 0x100;
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#binary(this.#uint8());
      case 0xc5:
        return this.#binary(this.#uint16());
      case 0xc6:
        return this.#binary(this.#uint32());
      case 0xca:
        return this.#view.getFloat32(this.#take(4));
      case 0xcb:
        return this.#view.getFloat64(this.#take(8));
      case 0xcc:
        return this.#uint8();
      case 0xcd:
        return this.#uint16();
      case 0xce:
        return this.#uint32();
      case 0xcf:
        return this.#uint32() * 0x100000000 + this.#uint32();
      case 0xd0:
        return this.#view.getInt8(this.#take(1));
      case 0xd1:
        return this.#view.getInt16(this.#take(2));
      case 0xd2:
        return this.#view.getInt32(this.#take(4));
      case 0xd3:
        return this.#view.getInt32(this.#take(4)) * 0x100000000 + this.#uint32();
      case 0xd9:
        return this.#string(this.#uint8());
      case 0xda:
        return this.#string(this.#uint16());
      case 0xdb:
        return this.#string(this.#uint32());
      case 0xdc:
        return this.#array(this.#uint16());
      case 0xdd:
        return this.#array(this.#uint32());
      case 0xde:
        return this.#map(this.#uint16());
      case 0xdf:
        return this.#map(this.#uint32());
      default:
        throw unspoken(token, at);
    }
  }

  /** Moves over `length` bytes and returns where they begin. */
  #take(length: number): number {
    const at = this.#position;
    const end = at + length;
    if (end > this.#bytes.length)
      throw new UnpackError(`${length} bytes announced at byte ${at} of ${this.#bytes.length}`);
    this.#position = end;
    return at;
  }

  #uint8(): number {
    return this.#bytes[this.#take(1)] ?? 0;
  }

  #uint16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  #uint32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** Every element takes a byte at least, which bounds what an announced length can allocate. */
  #enter(elements: number): void {
    if (elements > this.#bytes.length - this.#position)
      throw new UnpackError(`${elements} elements announced at byte ${this.#position}`);
    if (++this.#depth > this.#maxDepth)
      throw new UnpackError(`nested deeper than ${this.#maxDepth}`);
  }

  #array(length: number): unknown[] {
    this.#enter(length);
    const array = new Array<unknown>(length);
    for (let i = 0; i < length; i++) array[i] = this.#value();
    this.#depth--;
    return array;
  }

  #map(length: number): Record<string, unknown> {
    this.#enter(length * 2);
    const map: Record<string, unknown> = {};
    const around = this.#depth === 1 ? this.#around : undefined;
    for (let i = 0; i < length; i++) {
      const key = this.#key();
      map[key] = key === around ? this.#leftPacked() : this.#value();
    }
    this.#depth--;
    return map;
  }

  #key(): string {
    const key = this.#value();
    if (typeof key !== 'string') throw new UnpackError('a map key is not a string');
    if (key === '__proto__') throw new UnpackError('a map key is __proto__');
    return key;
  }

  /** What is no array is decoded. */
  #leftPacked(): unknown {
    const token = this.#bytes[this.#position] ?? 0;
    if ((token & 0xf0) === 0x90) return this.#packedArray(this.#uint8() & 0x0f);
    if (token !== 0xdc && token !== 0xdd) return this.#value();
    this.#take(1);
    return this.#packedArray(token === 0xdc ? this.#uint16() : this.#uint32());
  }

  #binary(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  #string(length: number): string {
    const at = this.#take(length);
    if (length > INTERNED_BYTES) return this.#bytes.toString('utf8', at, at + length);
    return length < 4 ? this.#shortString(at, length) : this.#internedString(at, length);
  }

  #shortString(at: number, length: number): string {
    let key = length;
    for (let i = at; i < at + length; i++) key = (key << 8) | (this.#bytes[i] ?? 0);
    const slot = Math.imul(key, 0x9e3779b1) >>> (32 - SHORT_SLOTS_LOG2);
    if (this.#shortKeys[slot] === key) return this.#shortStrings[slot] ?? '';
    this.#shortKeys[slot] = key;
    return (this.#shortStrings[slot] = this.#bytes.toString('utf8', at, at + length));
  }

  /** Compares four bytes at a time; the last four may overlap those before them. */
  #internedString(at: number, length: number): string {
    const view = this.#view;
    const last = at + length - 4;
    const middle = view.getInt32(at + ((length - 4) >> 1));
    const hash =
      Math.imul(view.getInt32(last), 0x9e3779b1) ^ Math.imul(middle + length, 0x85ebca6b);
    const slot = hash >>> (32 - INTERNED_SLOTS_LOG2);
    const offset = slot * INTERNED_BYTES - at;
    const known = this.#strings[slot] ?? '';
    if (known.length === length) {
      let i = at;
      while (i < last && view.getInt32(i) === this.#texts.getInt32(offset + i)) i += 4;
      if (i >= last && view.getInt32(last) === this.#texts.getInt32(offset + last)) return known;
    }
    const text = this.#bytes.toString('utf8', at, at + length);
    // Interned strings are told by their bytes and by having as many characters as bytes.
    if (text.length !== length) return text;
    for (let i = at; i < last; i += 4) this.#texts.setInt32(offset + i, view.getInt32(i));
    this.#texts.setInt32(offset + last, view.getInt32(last));
    return (this.#strings[slot] = text);
  }
}

const unpacker = new Unpacker();

/**
 * Decodes one MessagePack value. Integers beyond 2^53 lose precision, binaries are views of
 * `payload`. Throws {@link UnpackError} on anything else than one whole value within the limits.
 */
export function unpack(payload: Uint8Array, limits: Partial<UnpackLimits> = {}): unknown {
  return unpacker.unpack(payload, { ...defaultLimits, ...limits });
}

/**
 * Decodes a map, but leaves the array under `key` packed: it was checked as the rest, and is a {@link PackedArray}
 * in its place. Anything else is what `unpack` makes of it; throws as that does.
 */
export function unpackAround(payload: Uint8Array, key: string): unknown {
  return unpacker.unpackAround(payload, key, defaultLimits);
}
