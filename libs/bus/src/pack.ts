import { Packr } from 'msgpackr';

/** No records, no extension for undefined: the bytes are MessagePack that any language reads. */
const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true, variableMapSize: true });

/**
 * Encodes plain values (numbers, strings, booleans, null, binaries, arrays and objects of them)
 * as MessagePack without extension types. Undefined becomes nil; an integer beyond 32 bits
 * becomes a float64, exact up to 2^53. The bytes are never written again, so they can be
 * published without a copy.
 */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}
