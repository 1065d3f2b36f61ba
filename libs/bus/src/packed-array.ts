import { skip } from './skip.ts';

/** An array that was checked and not decoded: whoever needs an element decodes it, or reads its bytes. */
export class PackedArray {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Where in the message each element begins, and after the last one where that ends. */
  readonly begins: Uint32Array;
  /** The value that begins at a place of the message, an element or a part of one. */
  readonly decode: (at: number) => unknown;

  /** Use `unpackAround`. */
  constructor(bytes: Buffer, view: DataView, begins: Uint32Array, decode: (at: number) => unknown) {
    this.bytes = bytes;
    this.view = view;
    this.begins = begins;
    this.decode = decode;
  }

  get length(): number {
    return this.begins.length - 1;
  }

  /** Where the value ends that begins at a place of the message, an element or a part of one. */
  endOf(at: number): number {
    return skip(this.bytes, at, Infinity);
  }
}
