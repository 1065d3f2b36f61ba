/** Runs one task for each id, some at a time; ids that are asked for again while they wait are asked once. */
export class InspectQueue {
  readonly #task: (id: string) => Promise<void>;
  readonly #places: number;
  readonly #waiting = new Map<string, PromiseWithResolvers<void>>();
  readonly #running = new Set<string>();

  constructor(task: (id: string) => Promise<void>, places: number) {
    this.#task = task;
    this.#places = places;
  }

  /** Waiting and running. */
  get size(): number {
    return this.#waiting.size + this.#running.size;
  }

  /**
   * Runs the task of `id`, after the one that already runs for it: what is told then is newer than this call.
   * @returns when it has run; rejects as the task does
   */
  add(id: string): Promise<void> {
    let entry = this.#waiting.get(id);
    if (entry === undefined) {
      entry = withResolvers();
      this.#waiting.set(id, entry);
      this.#start();
    }
    return entry.promise;
  }

  #start(): void {
    for (const [id, entry] of this.#waiting) {
      if (this.#running.size >= this.#places) return;
      if (this.#running.has(id)) continue;
      this.#waiting.delete(id);
      this.#running.add(id);
      void this.#task(id)
        .then(entry.resolve, entry.reject)
        .finally(() => {
          this.#running.delete(id);
          this.#start();
        });
    }
  }
}

interface PromiseWithResolvers<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

function withResolvers(): PromiseWithResolvers<void> {
  let resolve!: () => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
