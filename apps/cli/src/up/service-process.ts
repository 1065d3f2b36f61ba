import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { Backoff } from '@netstatd/service';
import type { BackoffOptions, ServiceMessage } from '@netstatd/service';
import { onLines } from './lines.ts';

export interface ServiceProcessOptions {
  name: string;
  /** The service's main.js and its flags. */
  program: string;
  args: readonly string[];
  /** A line of its log. */
  onLine: (line: string) => void;
  /** Ports or readiness changed, or there is a new process. */
  onChange: () => void;
  /** It ended by itself; it is started again after `retryInMs`. */
  onDeath: (death: { how: string; code: number | null; retryInMs: number }) => void;
  backoff?: BackoffOptions;
}

/** A process that lived this long was not failing at its start. */
const STABLE_MS = 30_000;
/** A service stops within 5 s by itself; one that does not is killed. */
const STOP_LIMIT_MS = 6000;

/** One service as a child process: started again whenever it dies, gone whenever this process is. */
export class ServiceProcess {
  readonly name: string;
  /** Ports it has announced, by name. */
  ports: Record<string, number> = {};
  ready = false;
  reasons: Record<string, string> = { start: 'starting' };
  /** Whether it could do its job at any time since `start`. */
  everReady = false;
  deaths = 0;
  readonly #options: ServiceProcessOptions;
  readonly #backoff: Backoff;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(options: ServiceProcessOptions) {
    this.name = options.name;
    this.#options = options;
    this.#backoff = new Backoff(options.backoff ?? { baseMs: 500, maxMs: 30_000 });
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it with this environment, which later starts after a death use as well. */
  start(env: NodeJS.ProcessEnv): void {
    const { program, args, onLine, onChange } = this.#options;
    const startedAt = performance.now();
    const child = spawn(
      // Dies with this process even by kill -9; the IPC channel's end is the second way it notices.
      'setpriv',
      ['--pdeathsig', 'KILL', '--', process.execPath, program, ...args],
      // In a session of its own, so that a terminal's Ctrl+C reaches it through us, in order.
      { env, detached: true, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
    );
    this.#child = child;
    if (child.stdout) onLines(child.stdout, onLine);
    if (child.stderr) onLines(child.stderr, onLine);
    child.on('message', (message) => this.#hear(message as ServiceMessage));
    this.#exited = new Promise((resolve) => {
      const ended = (how: string, code: number | null) => {
        if (this.#child !== child) return;
        this.#child = undefined;
        resolve();
        this.#died(env, how, code, performance.now() - startedAt);
      };
      child.once('error', (error) => ended(error.message, null));
      child.once('exit', (code, signal) => ended(signal ?? `exit code ${code ?? '?'}`, code));
    });
    onChange();
  }

  #hear(message: ServiceMessage): void {
    if (message.netstatd === 'ports') this.ports = { ...this.ports, ...message.ports };
    else {
      this.ready = message.ready;
      this.reasons = message.reasons;
      this.everReady ||= message.ready;
    }
    this.#options.onChange();
  }

  #died(env: NodeJS.ProcessEnv, how: string, code: number | null, livedMs: number): void {
    this.ready = false;
    if (this.#stopping) return;
    this.reasons = { process: `ended (${how})` };
    this.deaths++;
    if (livedMs >= STABLE_MS) this.#backoff.reset();
    const retryInMs = this.#backoff.next();
    this.#retry = setTimeout(() => this.start(env), retryInMs);
    this.#options.onDeath({ how, code, retryInMs });
    this.#options.onChange();
  }

  /** Ends it for good: SIGTERM, and SIGKILL if it does not go by itself. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#retry);
    this.#child?.kill('SIGTERM');
    const killer = setTimeout(() => this.kill(), STOP_LIMIT_MS);
    await this.#exited;
    clearTimeout(killer);
  }

  /** At once. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#retry);
    this.#child?.kill('SIGKILL');
  }
}
