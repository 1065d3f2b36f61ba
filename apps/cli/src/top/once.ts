import { printable } from '@netstatd/events';
import { CommandError, exitCodes } from '../exit.ts';
import { LineOutput } from '../follow/output.ts';
import { Connections } from './connections.ts';
import { Feed } from './feed.ts';
import { plainLines } from './view.ts';
import type { Choice } from './view.ts';

/** A gateway without a node that tells its state is a failure by then; one that is away, at once. */
const LIMIT_MS = 10_000;
/** After the last node's state so long nothing more comes: there is no other node. */
const QUIET_MS = 400;
const LOOK_MS = 50;

/** Prints what is open now, and ends. */
export async function printOnce(
  url: string,
  query: readonly (readonly [string, string])[],
  choice: Choice,
): Promise<number> {
  const table = new Connections(choice.by);
  let ended: (code: number) => void = () => undefined;
  const gone = new Promise<number>((resolve) => (ended = resolve));
  const output = new LineOutput(process.stdout, () => ended(exitCodes.ok));
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => ended(exitCodes.ok));
  let refused: string | undefined;
  const feed = new Feed(url, query, table, {
    now: Date.now,
    onRefused: (reason) => (refused = reason),
  });
  try {
    const code = await Promise.race([gone, opening(table, feed, () => refused)]);
    if (code !== undefined) return code;
    for (const line of plainLines(table, choice, Date.now())) output.line(line);
    await Promise.race([gone, output.flush()]);
    return exitCodes.ok;
  } finally {
    feed.close();
  }
}

/** Resolves once every node has told its opening state. */
async function opening(
  table: Connections,
  feed: Feed,
  refused: () => string | undefined,
): Promise<undefined> {
  const deadline = performance.now() + LIMIT_MS;
  let completed = 0;
  let completedAt = Infinity;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const reason = refused();
    if (reason !== undefined) throw new CommandError(`refused: ${printable(reason)}`);
    if (table.completed > completed) {
      ({ completed } = table);
      completedAt = performance.now();
    }
    if (performance.now() - completedAt > QUIET_MS) return undefined;
    if (feed.failures > 0 || performance.now() > deadline) {
      const why = printable(feed.away ?? 'no node has told its connections');
      throw new CommandError(
        `nothing from ${feed.url} (${why}); start it by netstatd up, or name another by --url`,
      );
    }
  }
}
