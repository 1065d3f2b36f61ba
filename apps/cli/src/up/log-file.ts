import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

/** A log that never grows beyond twice its limit: the full file becomes `<path>.1`. */
export class LogFile {
  readonly #path: string;
  readonly #onTrouble: (error: Error) => void;
  readonly #maxBytes: number;
  #troubled = false;
  #fd: number | undefined;
  #size = 0;

  /** `onTrouble` hears of the first of a row of lines that cannot be written (a full disk, …). */
  constructor(path: string, onTrouble: (error: Error) => void, maxBytes = 8 << 20) {
    this.#path = path;
    this.#onTrouble = onTrouble;
    this.#maxBytes = maxBytes;
  }

  write(line: string): void {
    try {
      if (this.#fd !== undefined && this.#size >= this.#maxBytes) {
        this.close();
        renameSync(this.#path, `${this.#path}.1`);
      }
      if (this.#fd === undefined) {
        this.#fd = openSync(this.#path, 'a', 0o600);
        this.#size = fstatSync(this.#fd).size;
      }
      this.#size += writeSync(this.#fd, `${line}\n`);
      this.#troubled = false;
    } catch (error) {
      // A log that cannot be written must not stop what it tells about.
      if (!this.#troubled) this.#onTrouble(error as Error);
      this.#troubled = true;
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
