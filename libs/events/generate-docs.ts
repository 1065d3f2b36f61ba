import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { eventsMarkdown } from './src/event-docs.ts';

/** Writes docs/events.md; with --check it only compares, and exits with 1 when the file is out of date. */
async function main(): Promise<void> {
  const file = join(__dirname, '../../docs/events.md');
  const options = await resolveConfig(file);
  const text = await format(eventsMarkdown(), { ...options, parser: 'markdown' });
  if (!process.argv.includes('--check')) {
    writeFileSync(file, text);
  } else if (readFileSync(file, 'utf8') !== text) {
    process.stderr.write('docs/events.md is out of date: run npm run docs in libs/events\n');
    process.exitCode = 1;
  }
}

void main();
