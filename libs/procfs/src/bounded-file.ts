import { closeSync, openSync, readSync, readlinkSync } from 'node:fs';

/** What a file below /proc that we read whole may hold; a longer one is cut here. */
export const FILE_LIMIT_BYTES = 256 * 1024;

const shared = Buffer.allocUnsafe(FILE_LIMIT_BYTES);

/**
 * The first {@link FILE_LIMIT_BYTES} of a file, undefined when it is not there, vanishes while being read, or may
 * not be read. The bytes lie in a shared buffer and are good until the next call: files of /proc are read by the
 * thousand, and a process of the reader's choosing decides how long they are.
 */
export function readBounded(path: string): Buffer | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    let length = 0;
    while (length < FILE_LIMIT_BYTES) {
      const read = readSync(file, shared, length, FILE_LIMIT_BYTES - length, null);
      if (read === 0) break;
      length += read;
    }
    return shared.subarray(0, length);
  } catch {
    return undefined;
  } finally {
    closeSync(file);
  }
}

/** Target of a symbolic link, undefined when it is not there or may not be read. Bytes that are no UTF-8 become U+FFFD. */
export function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path, 'buffer').toString('utf8');
  } catch {
    return undefined;
  }
}
