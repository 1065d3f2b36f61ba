import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Role } from './places.ts';
import { TrafficProcess } from './traffic.ts';

/** A network namespace of a lab, on the lab's bridge. */
export interface Netns {
  name: string;
  /** File that holds the namespace, for setns(2) and nsenter(1). */
  path: string;
  inode: number;
  address4: string;
  address6: string;
}

/** A cgroup that looks like a container's. */
export interface Cgroup {
  path: string;
  containerUid: string;
  podUid: string;
}

/**
 * Names of a lab start with this, then the pid of its process in base 36, so that leftovers are
 * known.
 */
const MARK = 'nsl';
/** A pod uid of a lab: the mark, the pid of its process, and its number. */
const POD_UID = /^pod6e736c00-0000-4000-8000-([0-9a-f]{8})[0-9a-f]{4}$/;

const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();

function cgroupRoot(): string {
  const line = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/mounts', 'utf8'));
  if (!line?.[1]) throw new Error('no cgroup v2 hierarchy is mounted');
  return line[1];
}

const lives = (pid: number) => existsSync(`/proc/${pid}`);

/**
 * Network namespaces joined by a bridge (which has a namespace of its own) and cgroups named like
 * containers, all gone at `close`, or at the next lab's start when their process died.
 */
export class Lab {
  readonly #prefix: string;
  readonly #netns: Netns[] = [];
  readonly #cgroups: Cgroup[] = [];
  readonly #processes: TrafficProcess[] = [];
  readonly #hub: string;
  static #count = 0;

  constructor() {
    sweepLeftovers();
    this.#prefix = `${MARK}${process.pid.toString(36)}-${(Lab.#count++).toString(36)}`;
    this.#hub = `${this.#prefix}h`;
    run('ip', 'netns', 'add', this.#hub);
    this.inside(this.#hub, 'ip', 'link', 'add', 'hub', 'type', 'bridge');
    this.inside(this.#hub, 'ip', 'link', 'set', 'hub', 'up');
  }

  /** Makes a namespace with loopback and an IPv4 and an IPv6 address on the lab's bridge. */
  netns(): Netns {
    const number = this.#netns.length + 1;
    const name = `${this.#prefix}n${number}`;
    const [outer, address4, address6] = [`v${number}`, `10.77.0.${number}`, `fd77::${number}`];
    run('ip', 'netns', 'add', name);
    const path = `/run/netns/${name}`;
    const made = { name, path, inode: statSync(path).ino, address4, address6 };
    this.#netns.push(made);
    const link = ['ip', 'link', 'add', outer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns'];
    this.inside(this.#hub, ...link, name);
    this.inside(this.#hub, 'ip', 'link', 'set', outer, 'master', 'hub', 'up');
    for (const command of [
      ['link', 'set', 'lo', 'up'],
      ['addr', 'add', `${address4}/24`, 'dev', 'eth0'],
      ['addr', 'add', `${address6}/64`, 'dev', 'eth0', 'nodad'],
      ['link', 'set', 'eth0', 'up'],
    ])
      this.inside(name, 'ip', ...command);
    return made;
  }

  /** Runs a command to its end in a namespace. */
  inside(netns: string, ...command: string[]): string {
    return run('nsenter', `--net=/run/netns/${netns}`, '--', ...command);
  }

  /** Makes a cgroup with the path of a container under containerd's cgroupfs driver. */
  cgroup(): Cgroup {
    const owner = process.pid.toString(16).padStart(8, '0');
    const number = (Lab.#count * 64 + this.#cgroups.length).toString(16).padStart(4, '0');
    const podUid = `6e736c00-0000-4000-8000-${owner}${number}`;
    const containerUid = randomBytes(32).toString('hex');
    const path = join(cgroupRoot(), 'kubepods', 'burstable', `pod${podUid}`, containerUid);
    mkdirSync(path, { recursive: true });
    const made = { path, containerUid, podUid };
    this.#cgroups.push(made);
    return made;
  }

  /**
   * Starts a traffic process in a namespace and, before it makes a socket, moves it into its
   * cgroup.
   */
  async traffic(
    role: Role,
    command: string[],
    place: { netns: Netns; cgroup?: Cgroup; executable?: string },
  ): Promise<TrafficProcess> {
    const started = new TrafficProcess(role, command, place);
    this.#processes.push(started);
    await started.go(role, place.cgroup);
    return started;
  }

  /** Ends every process and removes everything that was made. */
  async close(): Promise<void> {
    for (const started of this.#processes) started.kill();
    await Promise.all(this.#processes.map((started) => started.ended));
    for (const { name } of this.#netns) run('ip', 'netns', 'del', name);
    run('ip', 'netns', 'del', this.#hub);
    // An exited process leaves its cgroup a little later than it is reaped.
    for (const { path } of this.#cgroups)
      for (let tries = 0; !removeCgroup(path) && tries < 100; tries++) await delay(20);
  }
}

/**
 * Removes a container's cgroup and those above it that are empty then; false while it is in use.
 */
function removeCgroup(path: string): boolean {
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return false;
  }
  try {
    for (let above = join(path, '..'), up = 0; up < 3; above = join(above, '..'), up++)
      rmdirSync(above);
  } catch {
    // Others have cgroups there.
  }
  return true;
}

function sweepLeftovers(): void {
  const names = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  for (const name of names) {
    const owner = new RegExp(`^${MARK}([0-9a-z]+)-`).exec(name)?.[1];
    if (owner !== undefined && !lives(Number.parseInt(owner, 36))) run('ip', 'netns', 'del', name);
  }
  const pods = join(cgroupRoot(), 'kubepods', 'burstable');
  for (const pod of existsSync(pods) ? readdirSync(pods) : []) {
    const owner = POD_UID.exec(pod)?.[1];
    if (owner === undefined || lives(Number.parseInt(owner, 16))) continue;
    for (const entry of readdirSync(join(pods, pod), { withFileTypes: true }))
      if (entry.isDirectory()) removeCgroup(join(pods, pod, entry.name));
  }
}
