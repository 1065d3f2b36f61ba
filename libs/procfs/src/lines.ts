import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK_BYTES = 64 * 1024;
const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
const NEWLINE = 10;

/** A line that is longer is no line of the tables that are read this way; it is left out. */
const LINE_MAX_BYTES = 4096;

/**
 * Calls `onLine` for each line of a file below /proc, up to `maxBytes` of them: tables of sockets have no bound.
 * @param accept is asked before the opened file is read
 * @returns whether it was read to its end
 */
export function readLines(
  path: string,
  maxBytes: number,
  accept: () => boolean,
  onLine: (line: string) => void,
): boolean {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return false;
  }
  try {
    if (!accept()) return false;
    let rest = 0;
    let skipping = false;
    for (let total = 0; total < maxBytes;) {
      const read = readSync(file, chunk, rest, CHUNK_BYTES - rest, null);
      const end = rest + read;
      let from = 0;
      for (let at = chunk.indexOf(NEWLINE, from); at >= 0 && at < end;) {
        if (!skipping && at > from) onLine(chunk.toString('latin1', from, at));
        skipping = false;
        from = at + 1;
        at = chunk.indexOf(NEWLINE, from);
      }
      if (read === 0) {
        if (!skipping && end > from) onLine(chunk.toString('latin1', from, end));
        return true;
      }
      total += read;
      rest = end - from;
      if (skipping || rest > LINE_MAX_BYTES) {
        skipping = true;
        rest = 0;
      } else {
        chunk.copyWithin(0, from, end);
      }
    }
    return false;
  } catch {
    return false;
  } finally {
    closeSync(file);
  }
}
