import type { Readable } from 'node:stream';

/** Longest line kept; the rest of a longer one is cut off. */
const MAX_LINE = 64 << 10;

/** Calls `onLine` for every line of a stream, the last one without its newline included. */
export function onLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = '';
  let skipping = false;
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!skipping && line !== '') onLine(line.slice(0, MAX_LINE));
      skipping = false;
    }
    if (rest.length > MAX_LINE) {
      if (!skipping) onLine(rest.slice(0, MAX_LINE));
      skipping = true;
      rest = '';
    }
  });
  stream.on('end', () => {
    if (rest !== '' && !skipping) onLine(rest);
  });
}
