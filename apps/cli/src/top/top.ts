import { exitCodes, CommandError } from '../exit.ts';
import { filterQuery } from '../follow/filter-flags.ts';
import { columnsOf } from './columns.ts';
import type { Grouping } from './groups.ts';
import { defaultSort } from './keys.ts';
import { LiveTable } from './live-table.ts';
import { printOnce } from './once.ts';
import type { Choice } from './view.ts';

export interface TopOptions extends Record<string, unknown> {
  url: string;
  group: Grouping;
  sort?: string;
  reverse?: boolean;
  once?: boolean;
}

/** `netstatd top`: live on a terminal, else the table once. Resolves with the exit code. */
export async function top(options: TopOptions): Promise<number> {
  const query = filterQuery(options);
  const { stdin, stdout } = process;
  const live = !options.once && stdout.isTTY && process.env.TERM !== 'dumb';
  const choice = choiceOf(options, live);
  if (!live) return printOnce(options.url, query, choice);
  process.stderr.on('error', () => undefined);
  return new LiveTable(options.url, query, choice, stdout, stdin).run();
}

function choiceOf({ group: by, sort, reverse = false }: TopOptions, live: boolean): Choice {
  const allowed = columnsOf(by).map(({ id }) => id);
  if (sort !== undefined && !allowed.includes(sort)) {
    throw new CommandError(
      `--sort: ${JSON.stringify(sort)} is not allowed with --group ${by}; allowed: ${allowed.join(', ')}`,
      exitCodes.usage,
    );
  }
  // What is printed once has no rates yet.
  const best = live || by === 'connection' ? defaultSort(by) : 'open';
  return {
    by,
    sort: sort ?? best,
    reverse,
    search: '',
    typing: false,
    scroll: 0,
    paused: false,
    help: false,
  };
}
