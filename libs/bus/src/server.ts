import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { delimiter, isAbsolute, join } from 'node:path';

export interface NatsServerOptions {
  /** Where the configuration and the log are; made if it is not there. */
  readonly stateDir: string;
  /** A path, or a name that is looked up in PATH and in the system's sbin directories. */
  readonly binary?: string;
  /** Loopback port; a free one by default. */
  readonly port?: number;
}

const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 3000;
/** What the server holds for one slow reader before it closes its connection. */
const MAX_PENDING_BYTES = 32 << 20;

/**
 * A nats-server of our own on a loopback port, with a token that only this process and those it
 * tells know. It dies with the thread that started it, even by `kill -9`, where setpriv exists.
 */
export class NatsServer {
  readonly #binary: string;
  readonly #config: string;
  readonly #token = randomBytes(24).toString('hex');
  /** In the server's greeting: tells it from whatever else may answer on the port. */
  readonly #name = `netstatd-${randomBytes(8).toString('hex')}`;
  readonly port: number;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  private constructor(binary: string, config: string, port: number) {
    this.#binary = binary;
    this.#config = config;
    this.port = port;
  }

  /**
   * Starts a server and resolves once it listens. Rejects when nats-server is not installed or
   * does not come up, with what it said.
   */
  static async start(options: NatsServerOptions): Promise<NatsServer> {
    const binary = findExecutable(options.binary ?? 'nats-server');
    if (binary === undefined)
      throw new Error(
        `${options.binary ?? 'nats-server'} is not installed: apt-get install nats-server`,
      );
    await mkdir(options.stateDir, { recursive: true, mode: 0o700 });
    const port = options.port ?? (await freePort());
    const server = new NatsServer(binary, join(options.stateDir, 'nats.conf'), port);
    await writeFile(server.#config, server.#configuration(join(options.stateDir, 'nats.log')), {
      mode: 0o600,
    });
    await server.restart();
    return server;
  }

  /** With the token: give it to those who may connect, and to no log. */
  get url(): string {
    return `nats://${this.#token}@127.0.0.1:${this.port}`;
  }

  /** Of the running server. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the server that runs now has ended, for whatever reason. */
  get exited(): Promise<void> {
    return this.#exited;
  }

  /** Starts the server again, on the same port and with the same token. Rejects like start. */
  async restart(): Promise<void> {
    await this.#end();
    const setpriv = findExecutable('setpriv');
    const command = [this.#binary, '-c', this.#config];
    if (setpriv !== undefined) command.unshift(setpriv, '--pdeathsig', 'KILL', '--');
    const [file = '', ...args] = command;
    const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (text: Buffer) => (said = (said + text.toString()).slice(-2000)));
    this.#child = child;
    let running = true;
    this.#exited = Promise.race([once(child, 'exit'), once(child, 'error')]).then(
      () => void (running = false),
      (error: unknown) => {
        running = false;
        said += String(error);
      },
    );
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await greeting(this.port)).includes(this.#name)) {
      // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- set by its exit
      if (!running || Date.now() > deadline) {
        await this.#end();
        throw new Error(`nats-server did not start on port ${this.port}: ${said.trim()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends the server and removes its configuration. */
  async stop(): Promise<void> {
    await this.#end();
    await rm(this.#config, { force: true });
  }

  async #end(): Promise<void> {
    this.#child?.kill('SIGTERM');
    const killer = setTimeout(() => this.#child?.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(killer);
    this.#child = undefined;
  }

  #configuration(logFile: string): string {
    return [
      `host: 127.0.0.1`,
      `port: ${this.port}`,
      `server_name: ${this.#name}`,
      `authorization { token: "${this.#token}" }`,
      `max_pending: ${MAX_PENDING_BYTES}`,
      `ping_interval: "5s"`,
      `write_deadline: "10s"`,
      `log_file: ${JSON.stringify(logFile)}`,
      `logfile_size_limit: 1MB`,
      '',
    ].join('\n');
  }
}

function findExecutable(name: string): string | undefined {
  if (isAbsolute(name)) return executable(name) ? name : undefined;
  const directories = (process.env.PATH ?? '').split(delimiter);
  return [...directories, '/usr/sbin', '/usr/local/sbin', '/sbin']
    .map((directory) => join(directory, name))
    .find(executable);
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

/** What a server on the port says first, as nats-server does with its INFO; empty without one. */
async function greeting(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const timer = setTimeout(() => socket.destroy(), 500);
  const said = await new Promise<string>((resolve) => {
    socket.once('data', (bytes) => resolve(bytes.toString()));
    socket.once('close', () => resolve(''));
    socket.once('error', () => undefined);
  });
  clearTimeout(timer);
  socket.destroy();
  return said;
}
