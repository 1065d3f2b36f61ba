import { openConntrack } from '@netstatd/client';
import { printable } from '@netstatd/events';
import { exitCodes } from '../exit.ts';
import { filterQuery } from './filter-flags.ts';
import type { Form } from './forms.ts';
import { LineOutput } from './output.ts';

/**
 * Prints what happens from now on, one line an event, until Ctrl+C, SIGTERM or until the reader of
 * stdout has gone; these are all orderly ends. Resolves with the exit code.
 */
export async function followEvents(
  form: Form,
  options: Record<string, unknown> & { url: string },
): Promise<number> {
  const query = filterQuery(options);
  if (!query.some(([name]) => name === 'type')) {
    query.push(...form.types.map((type): [string, string] => ['type', type]));
  }
  const note = (text: string) => process.stderr.write(`netstatd: ${text}\n`);
  // A closed stderr is no reason to stop.
  process.stderr.on('error', () => undefined);

  return new Promise((resolve) => {
    const output = new LineOutput(process.stdout, () => end());
    const follower = openConntrack(options.url, [...query, ['snapshot', 'false']], {
      onEvent: (event) => {
        if (event.type === 'stream.lagged') note(lagText(event.dropped, event.place));
        const line = form.line(event);
        if (line !== undefined) output.line(line);
      },
      onOpen: () => undefined,
      onClose: (reason, retryInMs) =>
        note(`${printable(reason)}; trying again in ${(retryInMs / 1000).toFixed(1)} s`),
    });
    const drops = setInterval(() => {
      const dropped = output.takeDropped();
      if (dropped > 0) note(`${dropped} lines not written: the reader of stdout is too slow`);
    }, 1000);
    const end = () => {
      clearInterval(drops);
      follower.close();
      void output.flush().then(() => resolve(exitCodes.ok));
    };
    process.on('SIGINT', end);
    process.on('SIGTERM', end);
    if (form.header !== undefined) output.line(form.header);
  });
}

function lagText(dropped: number | undefined, place: string | undefined): string {
  const count = dropped === undefined ? 'events' : `${dropped} events`;
  return `${count} lost${place === undefined ? '' : ` at the ${printable(place)}`}`;
}
