import type { WriteStream } from 'node:tty';

/** What the person at the terminal sees: lines, and below them one line that changes in place. */
export class Terminal {
  readonly live: boolean;
  readonly #stream: Pick<WriteStream, 'write' | 'isTTY' | 'columns'>;
  #status = '';

  constructor(stream: Pick<WriteStream, 'write' | 'isTTY' | 'columns'> = process.stderr) {
    this.#stream = stream;
    this.live = stream.isTTY;
  }

  line(text: string): void {
    this.#stream.write(`${this.#erase()}${text}\n${this.#status}`);
  }

  /** Replaces the changing line; without a terminal there is none. */
  status(text: string): void {
    if (!this.live) return;
    const erase = this.#erase();
    this.#status = text.slice(0, (this.#stream.columns || 80) - 1);
    this.#stream.write(`${erase}${this.#status}`);
  }

  #erase(): string {
    return this.#status === '' ? '' : '\r\u001b[K';
  }
}
