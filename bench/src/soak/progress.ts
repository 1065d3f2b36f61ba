/** One line that is written over on a terminal, else a line each five seconds; on stderr. */
export class Progress {
  readonly #live = process.stderr.isTTY;
  readonly #everyMs = this.#live ? 500 : 5000;
  #last = -Infinity;

  show(text: string): void {
    if (performance.now() - this.#last < this.#everyMs) return;
    this.#last = performance.now();
    process.stderr.write(this.#live ? `\r\u001b[K${text}` : `${text}\n`);
  }

  /** A line that stays. */
  note(text: string): void {
    process.stderr.write(`${this.#live ? '\r\u001b[K' : ''}${text}\n`);
  }

  end(): void {
    if (this.#live) process.stderr.write('\r\u001b[K');
  }
}
