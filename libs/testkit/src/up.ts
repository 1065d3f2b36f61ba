import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { upProgram } from './places.ts';
import { Recorder, type Query } from './recorder.ts';
import { waitFor } from './wait.ts';

/** The processes of one machine's netstatd. */
export type Part = 'collector' | 'enricher' | 'gateway' | 'nats';

/** What `netstatd up` writes about itself: where each part is. */
export interface Endpoints {
  gateway: string;
  cluster: string;
  collector: string;
  enricher: string;
  nats: string;
  pids: Record<Part, number>;
}

export interface UpOptions {
  /** Flags beyond those that keep it apart from other instances. */
  flags?: string[];
  env?: Record<string, string>;
  /** Put before the command, to start it elsewhere. */
  prefix?: string[];
  program?: string;
  stateDir?: string;
}

/** A running `netstatd up` with random ports and a state directory of its own. */
export class Up {
  readonly stateDir: string;
  /** Resolves with the exit code, or the name of the signal, once the process has ended. */
  readonly ended: Promise<number | string>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #recorders: Recorder[] = [];
  #exit: number | string | undefined;
  #log = '';

  constructor(options: UpOptions = {}) {
    this.stateDir = options.stateDir ?? mkdtempSync(join(tmpdir(), 'netstatd-test-'));
    const ports = ['gateway', 'cluster', 'collector', 'enricher'].flatMap((part) => [
      `--${part}-port`,
      '0',
    ]);
    const command = [
      ...(options.prefix ?? []),
      ...['setpriv', '--pdeathsig', 'KILL', process.execPath, options.program ?? upProgram, 'up'],
      ...['--state-dir', this.stateDir, ...ports, ...(options.flags ?? [])],
    ];
    this.#child = spawn(command[0] ?? '', command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.on(
        'data',
        (text: Buffer) => (this.#log = (this.#log + text.toString()).slice(-200_000)),
      );
    this.ended = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => {
        this.#exit = code ?? signal ?? 'gone';
        resolve(this.#exit);
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it and its services have written, for the message of a failed test. */
  get log(): string {
    return this.#log;
  }

  /** Where its parts are at this moment: pids change when a part is started again. */
  endpoints(): Endpoints {
    return JSON.parse(readFileSync(join(this.stateDir, 'endpoints.json'), 'utf8')) as Endpoints;
  }

  /** Waits until every service says that it can do its job. */
  async ready(): Promise<this> {
    await waitFor('netstatd to be ready', async () => {
      if (this.#exit !== undefined)
        throw new Error(`netstatd up ended with ${this.#exit}:\n${this.#log}`);
      if (!existsSync(join(this.stateDir, 'endpoints.json'))) return false;
      const { gateway, collector, enricher } = this.endpoints();
      const answers = await Promise.all(
        [gateway, collector, enricher].map((url) =>
          fetch(new URL('/readyz', url)).catch(() => undefined),
        ),
      );
      return answers.every((answer) => answer?.ok);
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.#log}`);
    });
    return this;
  }

  /** The address of a WebSocket view. */
  socket(view: 'gateway' | 'cluster' = 'gateway'): string {
    return new URL('/conntrack', this.endpoints()[view]).href.replace(/^http/, 'ws');
  }

  /** Opens a recorder that is closed with this instance. */
  async record(query: Query = {}, options: { batch?: boolean } = {}): Promise<Recorder> {
    const recorder = await Recorder.open(this.socket(), query, options);
    this.#recorders.push(recorder);
    return recorder;
  }

  /** Asks the gateway; the answer's body is JSON. */
  async get(path: string): Promise<unknown> {
    const answer = await fetch(new URL(path, this.endpoints().gateway));
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** Sends a signal to one of its parts. */
  signal(part: Part, name: NodeJS.Signals): void {
    process.kill(this.endpoints().pids[part], name);
  }

  /** Sends a signal to `netstatd up` itself. */
  kill(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Stops it, waits for its end, and removes its state directory. */
  async stop(): Promise<number | string> {
    for (const recorder of this.#recorders) recorder.close();
    if (this.#exit === undefined) this.kill('SIGTERM');
    const exit = await this.ended;
    rmSync(this.stateDir, { recursive: true, force: true });
    return exit;
  }
}

/** Starts `netstatd up` and waits until it is ready. */
export async function startUp(options: UpOptions = {}): Promise<Up> {
  const up = new Up(options);
  try {
    return await up.ready();
  } catch (error) {
    up.kill('SIGKILL');
    await up.stop();
    throw error;
  }
}
