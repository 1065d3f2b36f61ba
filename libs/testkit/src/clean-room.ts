import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bpftool } from './machine.ts';
import { workspaceRoot } from './places.ts';
import { waitFor } from './wait.ts';

/** What a program could leave behind; each entry is a readable, comparable line. */
export interface Footprint {
  /** Programs, maps and links that no living process of others holds. */
  bpf: string[];
  processes: string[];
  sockets: string[];
  files: string[];
}

/** Directories that a program may write to; empty at the start of the room. */
const COVERED = ['/tmp', '/run', '/var/tmp', '/var/lib', '/dev/shm', '/sys/fs/bpf'];
const MARK = 'NETSTATD_CLEAN_ROOM';
const SOCKET_TABLES = ['tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6'];

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
 * A mount and a network namespace of its own in which a program is started, so that the files, sockets and
 * processes seen there are its own, whatever else the machine does. The BPF objects are the machine's: those
 * that a living process of others holds are not counted.
 */
export class CleanRoom {
  readonly #keeper: ChildProcess;
  readonly #mark = randomUUID();
  #said = '';

  private constructor() {
    const covers = COVERED.map(
      (path) => `mount -t ${path === '/sys/fs/bpf' ? 'bpf' : 'tmpfs'} room ${path}`,
    );
    const script = [
      'set -e',
      // The workspace may itself lie under a directory that is covered.
      `mount --rbind "${workspaceRoot}" /mnt`,
      ...covers,
      'ip link set lo up',
      'echo ready',
      'exec cat',
    ];
    const command = ['--mount', '--net', '--propagation', 'private', 'sh', '-c', script.join('\n')];
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

  /** What to put before a command so that it runs in the room; `{root}` is the workspace there. */
  get entry(): { command: string[]; env: Record<string, string>; root: string } {
    const command = ['nsenter', `--target=${this.#keeper.pid ?? 0}`, '--mount', '--net', '--'];
    return { command, env: { [MARK]: this.#mark }, root: '/mnt' };
  }

  look(): Footprint {
    const mine = new Set(this.#processes());
    return {
      bpf: orphans(mine),
      processes: [...mine].map((pid) =>
        orGone(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '), pid),
      ),
      sockets: this.#sockets(),
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

  /** Sockets but those in TIME_WAIT, which the kernel keeps for no process. */
  #sockets(): string[] {
    return SOCKET_TABLES.flatMap((table) =>
      readFileSync(`/proc/${this.#keeper.pid ?? 0}/net/${table}`, 'utf8')
        .split('\n')
        .slice(1)
        .map((line) => line.trim().split(/\s+/))
        .filter(([, local, , state]) => local !== undefined && state !== '06')
        .map(([, local = '', remote = '']) => `${table} ${local} ${remote}`),
    );
  }

  #files(path: string): string[] {
    const outside = join(`/proc/${this.#keeper.pid ?? 0}/root`, path);
    return orGone(() => readdirSync(outside), []).flatMap((name) => {
      const inside = join(path, name);
      const directory = orGone(() => statSync(join(outside, name)).isDirectory(), false);
      return [inside, ...(directory ? this.#files(inside) : [])];
    });
  }
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
