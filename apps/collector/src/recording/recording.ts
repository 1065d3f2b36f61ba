import { BATCH_HEAD_BYTES, readRecordedHead, type RecordedHead } from '@netstatd/records';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** The file cannot be played; the message says why, in one line. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError';
}

/** What a look through a recording found. */
export interface RecordingFacts {
  readonly batches: number;
  readonly records: number;
  /** From its first batch to its last, by the clock of the recorded machine. */
  readonly durationMs: number;
  /** Bytes of whole batches. */
  readonly bytes: number;
  /** Why what follows them cannot be played, if anything does. */
  readonly trouble?: string;
  /** Whether that is the beginning of a batch, as a recorder leaves it that was killed. */
  readonly cut: boolean;
}

/** A file of raw batches laid end to end, as `--record` writes it. It comes from outside and may hold anything. */
export class Recording {
  readonly path: string;
  readonly facts: RecordingFacts;
  readonly #file: number;

  /** @throws RecordingError when the file cannot be read, or does not begin as a recording does */
  constructor(path: string) {
    this.path = path;
    this.#file = open(path);
    try {
      this.facts = this.#look();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Each batch, in a buffer of its own. Ends where the facts say, or earlier if the file has changed since. */
  *batches(): Iterable<{ head: RecordedHead; batch: Buffer }> {
    for (let at = 0; at < this.facts.bytes;) {
      const head = this.#head(at);
      if (head === undefined || at + head.bytes > this.facts.bytes) return;
      const batch = Buffer.allocUnsafe(head.bytes);
      if (read(this.#file, batch, at) < head.bytes) return;
      yield { head, batch };
      at += head.bytes;
    }
  }

  close(): void {
    closeSync(this.#file);
  }

  /** Steps from head to head without reading what is between them. */
  #look(): RecordingFacts {
    const { size } = fstatSync(this.#file);
    if (size === 0) throw new RecordingError(`${this.path} is empty: it is no recording`);
    const found = { batches: 0, records: 0, bytes: 0 };
    const times = { first: 0, last: 0 };
    const facts = (trouble?: string, cut = false): RecordingFacts => ({
      ...found,
      cut,
      durationMs: Math.max(0, (times.last - times.first) / 1e6),
      ...(trouble === undefined ? {} : { trouble }),
    });
    while (found.bytes < size) {
      const head = this.#head(found.bytes);
      const left = size - found.bytes;
      if (head === undefined && (found.bytes === 0 || left >= BATCH_HEAD_BYTES)) {
        if (found.bytes === 0) {
          throw new RecordingError(`${this.path} is no recording, or one of another version`);
        }
        return facts(`it is damaged at byte ${found.bytes} of ${size}`);
      }
      if (head === undefined || head.bytes > left) {
        if (found.batches > 0) return facts('it ends in the middle of a batch', true);
        throw new RecordingError(`${this.path} ends in the middle of its first batch`);
      }
      if (found.batches === 0) times.first = head.readNs;
      times.last = head.readNs;
      found.batches++;
      found.records += head.records;
      found.bytes += head.bytes;
    }
    return facts();
  }

  #head(at: number): RecordedHead | undefined {
    const bytes = Buffer.alloc(BATCH_HEAD_BYTES);
    return read(this.#file, bytes, at) < BATCH_HEAD_BYTES ? undefined : readRecordedHead(bytes);
  }
}

function open(path: string): number {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw new RecordingError(`${path} cannot be read: ${(error as Error).message}`);
  }
  if (fstatSync(file).isFile()) return file;
  closeSync(file);
  throw new RecordingError(`${path} is no file`);
}

function read(file: number, into: Buffer, at: number): number {
  let length = 0;
  while (length < into.length) {
    const got = readSync(file, into, length, into.length - length, at + length);
    if (got === 0) break;
    length += got;
  }
  return length;
}
