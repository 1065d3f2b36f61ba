/** Whether a service can do its job, part by part; every part that cannot gives its reason. */
export class Readiness {
  readonly #parts = new Map<string, string | undefined>();
  readonly #notes = new Map<string, string>();
  readonly #listeners = new Set<() => void>();

  /** States that `part` works (`true`) or why it does not. Parts are few and fixed by the code. */
  set(part: string, ok: boolean, reason = 'not ready'): void {
    const value = ok ? undefined : reason;
    if (this.#parts.has(part) && this.#parts.get(part) === value) return;
    this.#parts.set(part, value);
    for (const listener of this.#listeners) listener();
  }

  /** States what a part lacks without which the service can do its job all the same; undefined when nothing. */
  note(part: string, text: string | undefined): void {
    if (this.#notes.get(part) === text) return;
    if (text === undefined) this.#notes.delete(part);
    else this.#notes.set(part, text);
  }

  /** Notes by part. */
  notes(): Record<string, string> {
    return Object.fromEntries(this.#notes);
  }

  get ready(): boolean {
    return Object.keys(this.reasons()).length === 0;
  }

  /** Reason by part, for the parts that do not work. */
  reasons(): Record<string, string> {
    const failing = [...this.#parts].filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    return Object.fromEntries(failing);
  }

  /** Calls `listener` on every change, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
