import { setTimeout as sleep } from 'node:timers/promises';
import type { Writable } from 'node:stream';

/** What a reader that does not read may keep us holding, in bytes; beyond it lines are not written. */
const MAX_PENDING = 4 << 20;
const FLUSH_MS = 500;

/** Lines on stdout, for a terminal, a file or a pipe whose reader may be slow or go away. */
export class LineOutput {
  /** Lines that were not written since the reader did not take them. */
  dropped = 0;
  readonly #stream: Writable;

  /** `onGone` is called when the reader has gone, as `head` does. */
  constructor(stream: Writable, onGone: () => void) {
    this.#stream = stream;
    stream.on('error', onGone);
  }

  line(text: string): void {
    if (this.#stream.writableLength > MAX_PENDING) this.dropped++;
    else this.#stream.write(`${text}\n`);
  }

  /** How many lines were dropped since the last call. */
  takeDropped(): number {
    const { dropped } = this;
    this.dropped = 0;
    return dropped;
  }

  /** Waits until the reader has taken what was written, or a moment, if it takes nothing. */
  async flush(): Promise<void> {
    const taken = new Promise((resolve) => this.#stream.write('', resolve));
    await Promise.race([taken, sleep(FLUSH_MS)]);
  }
}
