import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError } from '../exit.ts';

/** Where a running `netstatd up` can be reached; machine-readable, in <state dir>/endpoints.json. */
export interface Endpoints {
  /** Ports of the gateway on every address, of this node and of all nodes. */
  gateway: number | undefined;
  cluster: number | undefined;
  /** Ports of the health servers on 127.0.0.1. */
  collector: number | undefined;
  enricher: number | undefined;
  /** The bus; holds the token of a private one, hence the file's mode 0600. */
  nats: string;
  /** Process ids by service; `up` is this process. */
  pids: Record<string, number | undefined>;
}

/** The one directory that `netstatd up` writes to; held by one process at a time. */
export class StateDir {
  readonly path: string;
  readonly logs: string;
  readonly #holder: string;
  readonly #endpoints: string;

  /**
   * Makes the directory if needed and takes it.
   * @throws CommandError when another `netstatd up` holds it, or when it is not ours.
   */
  constructor(path: string) {
    this.path = path;
    this.logs = join(path, 'logs');
    this.#holder = join(path, 'up.pid');
    this.#endpoints = join(path, 'endpoints.json');
    try {
      mkdirSync(this.logs, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new CommandError(`cannot make ${path}: ${String(error)}; choose another --state-dir`);
    }
    const { uid } = lstatSync(path);
    if (uid !== process.getuid?.() || !lstatSync(path).isDirectory()) {
      throw new CommandError(`${path} is not this user's directory; choose another --state-dir`);
    }
    this.#take();
  }

  #take(): void {
    const mine = `${process.pid} ${startTicks(process.pid) ?? 0}`;
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        writeFileSync(this.#holder, mine, { flag: 'wx', mode: 0o600 });
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const [pid = 0, ticks] = readFileSync(this.#holder, 'utf8').split(' ').map(Number);
      // A pid alone may be somebody else's by now; with its start time it is that very process.
      if (ticks !== undefined && startTicks(pid) === ticks) {
        throw new CommandError(
          `netstatd up is running already (pid ${pid}) with ${this.path}; stop it, or use ` +
            'another --state-dir and other ports',
        );
      }
      rmSync(this.#holder, { force: true });
    }
    throw new CommandError(`${this.path} is being taken by another netstatd up; try again`);
  }

  /** Replaces endpoints.json in one step: a reader finds the old or the new one, never a half. */
  writeEndpoints(endpoints: Endpoints): void {
    const next = `${this.#endpoints}.next`;
    writeFileSync(next, `${JSON.stringify(endpoints, undefined, 2)}\n`, { mode: 0o600 });
    renameSync(next, this.#endpoints);
  }

  /** Lets go of the directory; what stays are the logs. */
  release(): void {
    rmSync(this.#endpoints, { force: true });
    rmSync(this.#holder, { force: true });
  }
}

/** Start of a process in clock ticks since boot: field 22 of /proc/<pid>/stat, see proc(5). */
function startTicks(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the command in parentheses, which may itself hold blanks and parentheses.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    return undefined;
  }
}
