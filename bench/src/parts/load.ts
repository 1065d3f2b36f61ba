import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { places } from './places.ts';

/** A line that a load prints. */
export type Said = Record<string, unknown> & { event: string };

export const LOAD_PORT = 46_999;

const flags = (options: Readonly<Record<string, string | number>>) =>
  Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);

/** A running command of bench/native; it dies with this process. */
export class Load {
  readonly pid: number;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #said: Said[] = [];
  #wake: () => void = () => undefined;
  #ended = false;

  constructor(command: string, options: Readonly<Record<string, string | number>> = {}) {
    this.#child = spawn(places.load, [command, ...flags(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.pid = this.#child.pid ?? 0;
    this.#child.stdin.on('error', () => undefined);
    createInterface(this.#child.stdout).on('line', (line) => {
      this.#said.push(JSON.parse(line) as Said);
      this.#wake();
    });
    this.#child.once('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** The next line of this kind; lines before it are forgotten. */
  async said(event: string): Promise<Said> {
    for (;;) {
      for (let next = this.#said.shift(); next; next = this.#said.shift())
        if (next.event === event) return next;
      if (this.#ended) throw new Error(`a load ended without saying "${event}"`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Every line, as they come, until the end. */
  async *lines(): AsyncGenerator<Said> {
    for (;;) {
      for (let next = this.#said.shift(); next; next = this.#said.shift()) yield next;
      if (this.#ended) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Sends a line. */
  tell(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Sends a line and waits for the answer. */
  async ask(line: string, event: string): Promise<Said> {
    this.tell(line);
    return this.said(event);
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'close');
  }
}

/** Runs a command to its end; what it counted. */
export async function runLoad(
  command: string,
  options: Readonly<Record<string, string | number>>,
): Promise<Record<string, number>> {
  const load = new Load(command, { port: LOAD_PORT, ...options });
  try {
    return (await load.said('done')) as unknown as Record<string, number>;
  } finally {
    await load.stop();
  }
}

/** Real connections as fast as one process makes them and another takes them; a second. */
export async function churnRate(close: 'rst' | 'fin', seconds: number): Promise<number> {
  const { made = 0, seconds: took = 1 } = await runLoad('churn', { close, seconds, cpus: '0,1' });
  return made / took;
}
