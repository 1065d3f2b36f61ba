import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { upProgram } from './places.ts';
import { PublishedShapes } from './published.ts';
import { Recorder, type Query, type RecorderOptions } from './recorder.ts';
import { waitFor } from './wait.ts';

/** The processes of one machine's netstatd. */
export type Part = 'collector' | 'enricher' | 'gateway' | 'nats';

/** What `netstatd up` writes about itself; a port is absent until its service has announced it. */
export interface Endpoints {
  gateway?: number;
  cluster?: number;
  collector?: number;
  enricher?: number;
  nats: string;
  pids: Partial<Record<Part | 'up', number>>;
}

export interface UpOptions {
  /** Flags beyond those that keep it apart from other instances. */
  flags?: string[];
  env?: Record<string, string>;
  /** Put before the command, to start it elsewhere. */
  prefix?: string[];
  program?: string;
  /** A directory of a test that keeps it; without it one is made and removed. */
  stateDir?: string;
  /**
   * Where the root directory that it sees is for us, when it runs in a mount namespace of its own.
   */
  root?: string;
}

const LISTENING = ['gateway', 'cluster', 'collector', 'enricher'] as const;

/**
 * Ports that nobody listens on; chosen here and not by the services, so that a restart keeps them.
 */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0);
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** A running `netstatd up` with free ports and a state directory of its own. */
export class Up {
  readonly stateDir: string;
  /** Resolves with the exit code, or the name of the signal, once the process has ended. */
  readonly ended: Promise<number | string>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  #shapes: PublishedShapes | undefined;
  readonly #recorders: Recorder[] = [];
  readonly #keepsStateDir: boolean;
  #exit: number | string | undefined;
  #log = '';

  private constructor(options: UpOptions, ports: string[]) {
    const stateDir = options.stateDir ?? mkdtempSync(join(tmpdir(), 'netstatd-test-'));
    this.stateDir = join(options.root ?? '/', stateDir);
    this.#keepsStateDir = options.stateDir !== undefined;
    const command = [
      ...(options.prefix ?? []),
      ...['setpriv', '--pdeathsig', 'KILL', process.execPath, options.program ?? upProgram, 'up'],
      ...['--state-dir', stateDir, ...ports, ...(options.flags ?? [])],
    ];
    this.#child = spawn(command[0] ?? '', command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own, which a Ctrl+C is sent to as a terminal does.
      detached: true,
      env: { ...process.env, ...options.env },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.on('data', (text: Buffer) => {
        this.#log = (this.#log + text.toString()).slice(-100_000);
      });
    this.ended = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => {
        this.#exit = code ?? signal ?? 'gone';
        resolve(this.#exit);
      });
    });
  }

  /** Starts it, without waiting for anything. */
  static async start(options: UpOptions = {}): Promise<Up> {
    const ports = await freePorts(LISTENING.length);
    const flags = LISTENING.flatMap((part, index) => [`--${part}-port`, String(ports[index])]);
    return new Up(options, flags);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it has written. */
  get log(): string {
    return this.#log;
  }

  /** Where its parts are at this moment: pids change when a part is started again. */
  endpoints(): Endpoints {
    return JSON.parse(readFileSync(join(this.stateDir, 'endpoints.json'), 'utf8')) as Endpoints;
  }

  /** The address of a path of one of its services. */
  url(path: string, part: (typeof LISTENING)[number] = 'gateway'): URL {
    return new URL(path, `http://127.0.0.1:${this.endpoints()[part] ?? 0}`);
  }

  /** Waits until every service says that it can do its job. */
  async ready(): Promise<this> {
    await waitFor('netstatd to be ready', async () => {
      if (this.#exit !== undefined)
        throw new Error(`netstatd up ended with ${this.#exit}:\n${this.#log}`);
      if (!existsSync(join(this.stateDir, 'endpoints.json'))) return false;
      if (LISTENING.some((part) => this.endpoints()[part] === undefined)) return false;
      const answers = await Promise.all(
        LISTENING.map((part) => fetch(this.url('/readyz', part)).catch(() => undefined)),
      );
      return answers.every((answer) => answer?.ok);
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.#log}\n${this.#serviceLogs()}`);
    });
    return this;
  }

  #serviceLogs(): string {
    const logs = join(this.stateDir, 'logs');
    return (existsSync(logs) ? readdirSync(logs) : [])
      .map((name) => `-- ${name}\n${readFileSync(join(logs, name), 'utf8').slice(-4000)}`)
      .join('\n');
  }

  /**
   * Opens a recorder that is closed with this instance; it asks for batches unless told otherwise.
   */
  async record(query: Query = {}, options: RecorderOptions = {}): Promise<Recorder> {
    const batch = options.batch ?? true;
    const address = this.url('/conntrack', options.view ?? 'gateway');
    const recorder = await Recorder.open(address.href.replace(/^http/, 'ws'), query, { batch });
    this.#recorders.push(recorder);
    return recorder;
  }

  /** Asks the gateway; the answer's body is JSON, and of the shape that the gateway publishes. */
  async get(path: string): Promise<unknown> {
    const body = await this.#json(path);
    const { pathname } = this.url(path);
    if (!pathname.startsWith('/api/')) return body;
    this.#shapes ??= new PublishedShapes((await this.#json('/openapi.json')) as object);
    const difference = this.#shapes.against(pathname, body);
    if (difference !== undefined) throw new Error(`${path}: ${difference}`);
    return body;
  }

  async #json(path: string): Promise<unknown> {
    const answer = await fetch(this.url(path));
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** Sends a signal to one of its parts. */
  signal(part: Part, name: NodeJS.Signals): void {
    const pid = this.endpoints().pids[part];
    if (pid === undefined) throw new Error(`${part} does not run`);
    process.kill(pid, name);
  }

  /** Sends a signal to `netstatd up` itself. */
  kill(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Sends what a terminal sends on Ctrl+C, to everything in its foreground. */
  interrupt(): void {
    process.kill(-this.pid, 'SIGINT');
  }

  /** Stops it, waits for its end, and removes its state directory. */
  async stop(): Promise<number | string> {
    for (const recorder of this.#recorders) recorder.close();
    if (this.#exit === undefined) this.kill('SIGTERM');
    const exit = await this.ended;
    if (!this.#keepsStateDir) rmSync(this.stateDir, { recursive: true, force: true });
    return exit;
  }
}

/** Starts `netstatd up` and waits until it is ready. */
export async function startUp(options: UpOptions = {}): Promise<Up> {
  const up = await Up.start(options);
  try {
    return await up.ready();
  } catch (error) {
    up.kill('SIGKILL');
    await up.stop();
    throw error;
  }
}
