import { openConntrack } from '@netstatd/client';
import { printable } from '@netstatd/events';
import { exitCodes } from '../exit.ts';
import { filterQuery } from './filter-flags.ts';
import type { Form } from './forms.ts';
import { LineOutput } from './output.ts';
import { Repeats } from './repeats.ts';

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
    const output = new LineOutput(process.stdout, () => end(exitCodes.ok));
    const repeats = new Repeats();
    let away = false;
    const follower = openConntrack(options.url, [...query, ['snapshot', 'false']], {
      batch: true,
      onEvent: (event) => {
        if (repeats.has(event)) return;
        const line = form.line(event);
        if (line !== undefined) output.line(line);
      },
      onLagged: ({ dropped, place }) => note(lagText(dropped, place)),
      onOpen: () => {
        if (away) note('connected again; what happened in between is missing');
        else note(`following ${printable(options.url)}`);
        away = false;
      },
      onClose: (reason, retryInMs) => {
        away = true;
        note(`${printable(reason)}; trying again in ${(retryInMs / 1000).toFixed(1)} s`);
      },
      onRefused: (reason) => {
        note(`refused: ${printable(reason)}`);
        end(exitCodes.failed);
      },
    });
    const drops = setInterval(() => {
      const dropped = output.takeDropped();
      if (dropped > 0) note(`${dropped} lines not written: the reader of stdout is too slow`);
    }, 1000);
    let ended = false;
    const end = (code: number) => {
      // Flushing to a reader that has gone is itself an error, which calls this again.
      if (ended) return;
      ended = true;
      clearInterval(drops);
      follower.close();
      void output.flush().then(() => resolve(code));
    };
    process.on('SIGINT', () => end(exitCodes.ok));
    process.on('SIGTERM', () => end(exitCodes.ok));
    if (form.header !== undefined) output.line(form.header);
  });
}

function lagText(dropped: number | undefined, place: string | undefined): string {
  const count = dropped === undefined ? 'events' : `${dropped} events`;
  return `${count} lost${place === undefined ? '' : ` at the ${printable(place)}`}`;
}
