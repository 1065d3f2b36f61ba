import { createWriteStream, openSync, statSync, truncateSync, type WriteStream } from 'node:fs';
import { Recording, RecordingError } from './recording.ts';

/** Batches that wait for the disk; beyond it they are left out, which a replay shows as lost. */
const WAITING_MAX_BYTES = 32 << 20;

export interface RecorderOptions {
  readonly path: string;
  /** The file grows to this and no further. */
  readonly maxBytes: number;
  /** The recording has ended, for this reason; said once. */
  readonly onEnd: (reason: string) => void;
}

/** Writes raw batches to a file as they are published, for `--source replay:FILE`. */
export class Recorder {
  readonly counters = { recordedBatches: 0, recordedBytes: 0, unrecordedBatches: 0 };
  readonly #options: RecorderOptions;
  readonly #stream: WriteStream;
  #size: number;
  #ended = false;

  /**
   * Goes on with a recording that is there already: the collector may have been started again.
   * @throws RecordingError when the file is something else, or cannot be written
   */
  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#size = sizeOf(options.path);
    this.#stream = createWriteStream(options.path, { fd: openForMore(options.path) });
    this.#stream.on('error', (error) => this.#end(error.message));
  }

  write(batch: Uint8Array): void {
    if (this.#ended) return;
    if (this.#size + batch.byteLength > this.#options.maxBytes) {
      this.#end(`it has reached ${this.#options.maxBytes} bytes`);
      this.#stream.end();
      return;
    }
    if (this.#stream.writableLength > WAITING_MAX_BYTES) {
      this.counters.unrecordedBatches++;
      return;
    }
    this.#size += batch.byteLength;
    this.counters.recordedBatches++;
    this.counters.recordedBytes += batch.byteLength;
    this.#stream.write(batch);
  }

  /** Writes what still waits. */
  close(): Promise<void> {
    this.#ended = true;
    return new Promise((resolve) => {
      this.#stream.once('close', resolve);
      if (this.#stream.closed) resolve();
      else this.#stream.end();
    });
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onEnd(reason);
  }
}

function openForMore(path: string): number {
  try {
    return openSync(path, 'a', 0o600);
  } catch (error) {
    throw new RecordingError(`${path} cannot be written: ${(error as Error).message}`);
  }
}

/** What a file to go on with has already, without a batch that was cut; 0 when there is none. */
function sizeOf(path: string): number {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || (stat.isFile() && stat.size === 0)) return 0;
  const recording = new Recording(path);
  recording.close();
  const { bytes, trouble, cut } = recording.facts;
  if (cut) truncateSync(path, bytes);
  else if (trouble !== undefined)
    throw new RecordingError(`${path} is no recording to go on with: ${trouble}`);
  return bytes;
}
