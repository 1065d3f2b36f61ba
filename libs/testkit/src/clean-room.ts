import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { bpftool } from './machine.ts';
import { upProgram, workspaceRoot } from './places.ts';
import { waitFor } from './wait.ts';

/** What a program could leave behind; each entry is a readable, comparable line. */
export interface Footprint {
  /** Programs, maps and links that no living process of others holds. */
  bpf: string[];
  processes: string[];
  /** Sockets on the ports that were asked about. */
  sockets: string[];
  files: string[];
}

/** Directories that a program may write to; empty at the start of the room. */
const COVERED = ['/tmp', '/run', '/var/tmp', '/var/lib', '/dev/shm', '/sys/fs/bpf'];
const MARK = 'NETSTATD_CLEAN_ROOM';
const SOCKET_TABLES = ['tcp', 'tcp6', 'udp', 'udp6'];
/** The kernel keeps these for no process. */
const TIME_WAIT = '06';

const pids = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name));

/** What `read` gives, or `otherwise` when the process or file is gone meanwhile. */
function orGone<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

/**
 * A mount namespace of its own in which a program is started, so that the files and processes seen
 * there are its own, whatever else the machine does. The BPF objects are the machine's: those that
 * a living process of others holds are not counted.
 */
export class CleanRoom {
  readonly #keeper: ChildProcess;
  readonly #mark = randomUUID();
  #said = '';

  private constructor() {
    const script = [
      'set -e',
      // The workspace may itself lie under a directory that is covered.
      `mount --rbind "${workspaceRoot}" /mnt`,
      ...COVERED.map((path) => {
        const type = path === '/sys/fs/bpf' ? 'bpf' : 'tmpfs';
        return `[ ! -d ${path} ] || mount -t ${type} room ${path}`;
      }),
      'echo ready',
      'exec cat',
    ];
    const command = ['--mount', '--propagation', 'private', 'sh', '-c', script.join('\n')];
    this.#keeper = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...command], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#keeper.stdout?.on('data', (text: Buffer) => (this.#said += text.toString()));
  }

  static async open(): Promise<CleanRoom> {
    const room = new CleanRoom();
    await waitFor('the clean room', () => room.#said.includes('ready'));
    return room;
  }

  /** How to start netstatd in the room. */
  get entry(): { prefix: string[]; env: Record<string, string>; program: string; root: string } {
    const pid = this.#keeper.pid ?? 0;
    return {
      prefix: ['nsenter', `--target=${pid}`, '--mount', '--'],
      env: { [MARK]: this.#mark },
      program: join('/mnt', relative(workspaceRoot, upProgram)),
      root: `/proc/${pid}/root`,
    };
  }

  /** Looks at what is there now; sockets are those on the given local ports. */
  look(ports: readonly number[]): Footprint {
    const mine = new Set(this.#processes());
    return {
      bpf: orphans(mine),
      processes: [...mine].map((pid) =>
        orGone(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '), pid),
      ),
      sockets: sockets(ports),
      files: COVERED.flatMap((path) => this.#files(path)),
    };
  }

  close(): void {
    this.#keeper.kill('SIGKILL');
  }

  /** Every process that was started in the room, however far it has moved from its parent. */
  #processes(): string[] {
    const mark = `${MARK}=${this.#mark}`;
    return pids().filter((pid) =>
      orGone(
        () => readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark),
        false,
      ),
    );
  }

  #files(path: string): string[] {
    const outside = join(this.entry.root, path);
    return orGone(() => readdirSync(outside), []).flatMap((name) => {
      const inside = join(path, name);
      const directory = orGone(() => statSync(join(outside, name)).isDirectory(), false);
      return [inside, ...(directory ? this.#files(inside) : [])];
    });
  }
}

function sockets(ports: readonly number[]): string[] {
  return SOCKET_TABLES.flatMap((table) =>
    readFileSync(`/proc/net/${table}`, 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = '', , state]) => {
        const port = Number.parseInt(local.slice(local.indexOf(':') + 1), 16);
        return ports.includes(port) && state !== TIME_WAIT;
      })
      .map(([, local = '', remote = '', state = '']) => `${table} ${local} ${remote} ${state}`),
  );
}

/** BPF objects that no living process but `mine` has open: pinned or attached ones, or leaks. */
function orphans(mine: Set<string>): string[] {
  const held = new Set<string>();
  for (const pid of pids()) {
    if (mine.has(pid)) continue;
    for (const fd of orGone(() => readdirSync(`/proc/${pid}/fdinfo`), [])) {
      const info = orGone(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'), '');
      for (const [, kind, id] of info.matchAll(/^(prog|map|link)_id:\s*(\d+)/gm))
        held.add(`${kind ?? ''} ${id ?? ''}`);
    }
  }
  return (['prog', 'map', 'link'] as const).flatMap((kind) =>
    bpftool(kind)
      .filter(({ id }) => !held.has(`${kind} ${id}`))
      .map(({ id, name }) => `${kind} ${id} ${name ?? ''}`),
  );
}

/** What is there now and was not before. */
export function grown(before: Footprint, after: Footprint): string[] {
  return (Object.keys(after) as (keyof Footprint)[]).flatMap((kind) => {
    const known = new Set(before[kind]);
    return after[kind].filter((entry) => !known.has(entry));
  });
}
