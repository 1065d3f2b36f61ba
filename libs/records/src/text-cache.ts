/**
 * A bounded cache of texts made from a few bytes of a record: direct-mapped, so that it never grows,
 * never needs eviction and a hit costs a hash and a comparison but no allocation.
 */
export class TextCache {
  private readonly keys: Uint32Array;
  private readonly texts: (string | undefined)[];
  private readonly words: number;
  private readonly mask: number;
  private readonly format: (bytes: Uint8Array) => string;

  /**
   * @param bytes length of a key, a multiple of 4
   * @param slots number of texts kept, a power of two
   */
  constructor(bytes: number, slots: number, format: (bytes: Uint8Array) => string) {
    this.words = bytes >>> 2;
    this.mask = slots - 1;
    this.keys = new Uint32Array(slots * this.words);
    this.texts = new Array<string | undefined>(slots).fill(undefined);
    this.format = format;
  }

  /** The text of the key's bytes at an offset of a view. */
  text(view: DataView, at: number): string {
    const { keys, words } = this;
    let hash = 0;
    for (let i = 0; i < words; i++) {
      hash = Math.imul(hash ^ view.getUint32(at + 4 * i, true), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    const slot = hash & this.mask;
    const known = this.texts[slot];
    const first = slot * words;
    let same = known !== undefined;
    for (let i = 0; same && i < words; i++) {
      same = keys[first + i] === view.getUint32(at + 4 * i, true);
    }
    if (same) return known ?? '';
    for (let i = 0; i < words; i++) keys[first + i] = view.getUint32(at + 4 * i, true);
    const made = this.format(new Uint8Array(view.buffer, view.byteOffset + at, 4 * words));
    this.texts[slot] = made;
    return made;
  }
}
