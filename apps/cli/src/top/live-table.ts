import { emitKeypressEvents } from 'node:readline';
import type { ReadStream } from 'node:tty';
import { printable } from '@netstatd/events';
import { exitCodes } from '../exit.ts';
import { Connections } from './connections.ts';
import { Feed } from './feed.ts';
import { pressed } from './keys.ts';
import type { Key } from './keys.ts';
import { Screen } from './screen.ts';
import { allRows, heldRows, pageRows, rowsOf, screenLines } from './view.ts';
import type { Choice, Row } from './view.ts';

/** Events change the screen at most so often; a key does at once. */
const REDRAW_MS = 250;

/** The table on a terminal, until the person there has seen enough. */
export class LiveTable {
  readonly #table: Connections;
  readonly #feed: Feed;
  readonly #screen: Screen;
  readonly #output: typeof process.stdout;
  readonly #input: ReadStream;
  #choice: Choice;
  /** What is shown while the table is held, and since when. */
  #held: { rows: Row[]; at: number } | undefined;
  #rowCount = 0;
  #end: (code: number) => void = () => undefined;
  #refused: string | undefined;

  constructor(
    url: string,
    query: readonly (readonly [string, string])[],
    choice: Choice,
    output: typeof process.stdout,
    input: ReadStream,
  ) {
    this.#choice = choice;
    this.#output = output;
    this.#input = input;
    this.#screen = new Screen(output, input, !process.env.NO_COLOR);
    this.#table = new Connections(choice.by);
    const onRefused = (reason: string) => {
      this.#refused = reason;
      this.#end(exitCodes.failed);
    };
    this.#feed = new Feed(url, query, this.#table, { now: Date.now, onRefused });
  }

  /** Resolves with the exit code. */
  async run(): Promise<number> {
    const ended = new Promise<number>((resolve) => (this.#end = resolve));
    const quit = () => this.#end(exitCodes.ok);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, quit);
    for (const stream of [this.#output, this.#input]) stream.on('error', quit);
    process.on('SIGCONT', () => this.#resume());
    process.once('uncaughtException', (error) => this.#crash(error));
    this.#output.on('resize', () => this.#draw());
    this.#screen.enter();
    if (this.#input.isTTY) {
      emitKeypressEvents(this.#input);
      this.#input.on('keypress', (_text, key: Key) => this.#press(key));
      this.#input.on('end', quit);
    }
    const redraw = setInterval(() => this.#draw(), REDRAW_MS);
    this.#draw();
    try {
      return await ended;
    } finally {
      clearInterval(redraw);
      this.#input.pause();
      this.#feed.close();
      this.#screen.leave();
      if (this.#refused !== undefined) {
        process.stderr.write(`netstatd: refused: ${printable(this.#refused)}\n`);
      }
    }
  }

  #press(key: Key): void {
    const before = this.#choice;
    const result = pressed(before, key, pageRows(this.#screen.size), this.#rowCount);
    if (result === 'quit') this.#end(exitCodes.ok);
    else if (result === 'suspend') this.#suspend();
    else {
      this.#choice = result;
      if (result.by !== before.by) this.#table.groupBy(result.by, Date.now());
      if (!result.paused) this.#held = undefined;
      else
        this.#held ??= {
          rows: heldRows(allRows(this.#table, result.by), Date.now()),
          at: Date.now(),
        };
      this.#draw();
    }
  }

  /** What went wrong is to be read on the shell's screen, not on ours that goes. */
  #crash(error: Error): void {
    this.#screen.leave();
    process.stderr.write(`netstatd: ${error.stack ?? String(error)}\n`);
    process.exit(exitCodes.failed);
  }

  /** As the shell's Ctrl+Z: the terminal is given back until `fg`. */
  #suspend(): void {
    this.#screen.leave();
    process.kill(process.pid, 'SIGTSTP');
  }

  #resume(): void {
    this.#screen.enter();
    this.#draw();
  }

  #draw(): void {
    this.#table.expire(Date.now());
    const { rows: all, at } = this.#held ?? {
      rows: allRows(this.#table, this.#choice.by),
      at: Date.now(),
    };
    const rows = rowsOf(all, this.#choice, at);
    this.#rowCount = rows.length;
    const { size } = this.#screen;
    this.#screen.draw(screenLines(this.#table, rows, this.#choice, this.#feed, size, at));
  }
}
