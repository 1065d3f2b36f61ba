/**
 * A map of a limited size: the oldest entries make room for a new one, which is counted. A full map lets go of
 * 1/64 of its entries at a time, because the way to the oldest leads past what was deleted before it.
 */
export class BoundedMap<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #max: number;
  readonly #evict: ((value: V, key: K) => void) | undefined;
  /** Entries that had to go before their time. */
  evicted = 0;

  /** @param evict is told of each entry that had to go, after it has gone. */
  constructor(max: number, evict?: (value: V, key: K) => void) {
    this.#max = max;
    this.#evict = evict;
  }

  get max(): number {
    return this.#max;
  }
  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  has(key: K): boolean {
    return this.#entries.has(key);
  }

  /** Sets an entry; one that is new, or was deleted before, becomes the youngest. */
  set(key: K, value: V): void {
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#max) return;
    let left = 1 + (this.#max >> 6);
    for (const [oldest, old] of this.#entries) {
      this.#entries.delete(oldest);
      this.evicted++;
      this.#evict?.(old, oldest);
      if (--left === 0) return;
    }
  }

  delete(key: K): boolean {
    return this.#entries.delete(key);
  }

  /** From the oldest to the youngest. */
  values(): IterableIterator<V> {
    return this.#entries.values();
  }
}
