import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { Cgroup, Netns } from './lab.ts';
import { traffic, type Role } from './places.ts';
import { waitFor } from './wait.ts';

/** A line of truth: what a traffic process says it is or did. */
export interface Truth {
  event:
    | 'hello'
    | 'listening'
    | 'ready'
    | 'accepted'
    | 'connected'
    | 'failed'
    | 'done'
    | 'opened'
    | 'closed'
    | 'shared';
  role?: Role;
  pid: number;
  /** Number that the harness gave a port. */
  id?: number;
  port?: number;
  localPort?: number;
  peerPort?: number;
  /** Name of the errno of a connect that failed. */
  error?: string;
  extra?: boolean;
  made?: number;
  failed?: number;
  datagrams?: number;
  bytes?: number;
  answered?: number;
}

/** A process (or a listener with its acceptor) that makes known traffic. */
export class TrafficProcess {
  readonly truth: Truth[] = [];
  /** Resolves with the exit code, or the name of the signal, once the process has ended. */
  readonly ended: Promise<number | string>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #what: string;
  #exit: number | string | undefined;
  #errors = '';

  constructor(role: Role, command: string[], place: { netns: Netns; executable?: string }) {
    this.#what = `${role} ${command.join(' ')}`;
    const executable = place.executable ?? traffic(role);
    this.#child = spawn('nsenter', [`--net=${place.netns.path}`, '--', executable, ...command], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    // A process that is gone takes no more orders.
    this.#child.stdin.on('error', () => undefined);
    this.#child.stderr.on('data', (text: Buffer) => (this.#errors += text.toString()));
    createInterface(this.#child.stdout).on('line', (line) =>
      this.truth.push(JSON.parse(line) as Truth),
    );
    this.ended = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => {
        this.#exit = code ?? signal ?? 'gone';
        resolve(this.#exit);
      });
    });
  }

  /** Waits for the hello of a role, moves that process into a cgroup, and lets it begin. */
  async go(role: Role, cgroup?: Cgroup): Promise<number> {
    const { pid } = await this.said('hello', (truth) => truth.role === role);
    if (cgroup) writeFileSync(join(cgroup.path, 'cgroup.procs'), String(pid));
    this.#child.stdin.write('go\n');
    return pid;
  }

  /** Gives an order to a role that takes some. */
  tell(order: string): void {
    this.#child.stdin.write(`${order}\n`);
  }

  /** Waits for a line of truth. */
  said(event: Truth['event'], which: (truth: Truth) => boolean = () => true): Promise<Truth> {
    return waitFor(`${event} of ${this.#what}`, () => {
      const found = this.truth.find((truth) => truth.event === event && which(truth));
      if (found) return found;
      if (this.#exit === undefined) return undefined;
      throw new Error(`${this.#what} ended with ${this.#exit} before "${event}": ${this.#errors}`);
    });
  }

  /** All lines of one kind so far. */
  all(event: Truth['event']): Truth[] {
    return this.truth.filter((truth) => truth.event === event);
  }

  /** Lets the process come to its end, and waits for it. */
  async stop(): Promise<void> {
    this.#child.stdin.end();
    await this.ended;
  }

  /** Ends the process by force; its acceptor goes with it. */
  kill(): void {
    this.#child.stdin.destroy();
    if (this.#exit === undefined) this.#child.kill('SIGKILL');
  }
}
