import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { RpcChannel } from '@netstatd/containers/api';
import { removeCgroups } from './containerd-cgroups.ts';
import { writeConfig, type ContainerdPlace } from './containerd-config.ts';
import { removeNetworks } from './containerd-networks.ts';
import { ContainerdApi, SHARED, type Pod, type PodRequest } from './containerd-api.ts';
import { IMAGE, makeImage } from './containerd-image.ts';
import { traffic } from './places.ts';
import { waitFor } from './wait.ts';

/** A container that ctr starts. */
export interface RunRequest {
  readonly namespace: string;
  readonly id: string;
  readonly args?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** Whether it shares the network of the machine; otherwise it has one of its own, with nothing in it. */
  readonly hostNetwork?: boolean;
  /** File of a network namespace that it joins, e.g. that of a pod. */
  readonly netns?: string;
  /** Its cgroup, e.g. as the systemd driver writes it: "/kubepods.slice/…/cri-containerd-<id>.scope". */
  readonly cgroup?: string;
}

/** A task as ctr lists it. */
export interface ListedTask {
  readonly pid: number;
  /** RUNNING, STOPPED, CREATED, PAUSED. */
  readonly status: string;
}

export type { Pod, PodRequest } from './containerd-api.ts';

const exec = promisify(execFile);
/** Directories of tests start with it, and end with their process's pid. */
const MARK = '/run/netstatd-test-ctd-';

/** An id as Kubernetes runtimes make them. */
export const containerId = () => randomBytes(32).toString('hex');

/**
 * A containerd that shares nothing with another: own root, state, socket, runc and pod network. `close` ends it and all
 * that it made. Needs root, containerd, runc, busybox and, for pods, the CNI plugins.
 */
export class TestContainerd {
  readonly dir: string;
  readonly socket: string;
  /** A directory that every container sees as /shared. The traffic programs are in it, where they are built. */
  readonly shared: string;
  readonly #place: ContainerdPlace;
  readonly #config: string;
  readonly #image: string;
  readonly #imported = new Map<string, Promise<void>>();
  readonly #namespaces = new Set<string>();
  readonly #cgroups = new Set<string>();
  readonly #pods = new Set<string>();
  #api: ContainerdApi | undefined;
  #process: ChildProcess | undefined;

  private constructor() {
    this.dir = mkdtempSync(`${MARK}${process.pid.toString()}-`);
    this.socket = join(this.dir, 'containerd.sock');
    this.shared = join(this.dir, 'shared');
    mkdirSync(this.shared);
    const built = dirname(traffic('client'));
    if (existsSync(built)) cpSync(built, this.shared, { recursive: true });
    const random = randomBytes(3);
    this.#place = {
      dir: this.dir,
      bridge: `nsc${random.toString('hex')}`,
      subnet: `10.${(random[0]! % 50) + 180}.${random[1]!.toString()}`,
    };
    this.#config = writeConfig(this.#place);
    this.#image = makeImage(this.dir);
  }

  static async start(): Promise<TestContainerd> {
    const made = new TestContainerd();
    try {
      await made.start();
    } catch (error) {
      await made.close();
      throw error;
    }
    return made;
  }

  /** Starts it again, after `kill`. */
  async start(): Promise<void> {
    const log = openSync(join(this.dir, 'log'), 'a');
    const command = ['--pdeathsig', 'KILL', 'containerd', '--config', this.#config];
    const started = spawn('setpriv', command, { stdio: ['ignore', log, log] });
    this.#process = started;
    await waitFor('containerd', async () => {
      if (started.exitCode !== null) throw new Error(`containerd ended: ${this.log()}`);
      const api = new ContainerdApi(new RpcChannel(this.socket), this.shared, this.#pods);
      if (await api.ready()) {
        this.#api?.close();
        this.#api = api;
        return true;
      }
      api.close();
      return false;
    });
  }

  /** Ends it with SIGKILL; its containers go on. */
  async kill(): Promise<void> {
    const ended = this.#process;
    this.#process = undefined;
    this.#api?.close();
    this.#api = undefined;
    if (ended?.exitCode !== null) return;
    const gone = once(ended, 'exit');
    ended.kill('SIGKILL');
    await gone;
  }

  /** What it wrote to its log. */
  log(): string {
    return readFileSync(join(this.dir, 'log'), 'utf8');
  }

  /** Stops it for a while, as SIGSTOP does: it takes connections and says nothing. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process?.kill(signal);
  }

  /** Runs ctr in a namespace; gives what it printed. */
  async ctr(namespace: string, ...args: string[]): Promise<string> {
    this.#namespaces.add(namespace);
    const { stdout } = await exec('ctr', ['-a', this.socket, '-n', namespace, ...args]);
    return stdout;
  }

  /** Starts a container. */
  async run(request: RunRequest): Promise<void> {
    const { namespace, id, args = ['sleep', '3600'], labels = {}, cgroup } = request;
    const { hostNetwork, netns } = request;
    await this.#import(namespace);
    this.#cgroups.add(cgroup ?? `/${namespace}/${id}`);
    await this.ctr(
      namespace,
      'run',
      '--detach',
      '--runc-root',
      join(this.dir, 'runc'),
      ...Object.entries(labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]),
      ...['--mount', `type=bind,src=${this.shared},dst=${SHARED},options=rbind:rw`],
      ...(hostNetwork ? ['--net-host'] : []),
      ...(netns === undefined ? [] : ['--with-ns', `network:${netns}`]),
      ...(cgroup === undefined ? [] : ['--cgroup', cgroup]),
      IMAGE,
      id,
      ...args,
    );
  }

  /** Ends the process of a container; the container stays. */
  async stop(namespace: string, id: string): Promise<void> {
    await this.ctr(namespace, 'task', 'rm', '--force', id);
  }

  /** Ends and removes a container. */
  async remove(namespace: string, id: string): Promise<void> {
    if ((await this.tasks(namespace)).has(id)) await this.stop(namespace, id);
    await this.ctr(namespace, 'container', 'rm', id);
  }

  /** Starts a pod through CRI. */
  async pod(request: PodRequest): Promise<Pod> {
    await this.#import('k8s.io');
    const pod = await this.api.pod(request);
    this.#cgroups.add(pod.cgroupParent);
    return pod;
  }

  /** The ids of a namespace's containers, by ctr. */
  async containers(namespace: string): Promise<string[]> {
    const listed = await this.ctr(namespace, 'container', 'ls', '--quiet');
    return listed.split('\n').filter((id) => id !== '');
  }

  /** The tasks of a namespace by id, by ctr. */
  async tasks(namespace: string): Promise<Map<string, ListedTask>> {
    const [, ...lines] = (await this.ctr(namespace, 'task', 'ls')).trim().split('\n');
    return new Map(
      lines.map((line) => {
        const [id = '', pid = '', status = ''] = line.split(/\s+/);
        return [id, { pid: Number(pid), status }];
      }),
    );
  }

  /** The machine's address on the bridge of the pods, which is there from the first pod on. */
  get gateway(): string {
    return `${this.#place.subnet}.1`;
  }

  get api(): ContainerdApi {
    if (!this.#api) throw new Error('containerd does not run');
    return this.#api;
  }

  /** Ends everything that was started here, and removes what it left. */
  async close(): Promise<void> {
    this.signal('SIGCONT');
    // Pods that cannot be removed in order are ended all the same.
    await this.#api?.removePods().catch(() => undefined);
    await this.kill();
    this.#endShims();
    for (const mount of mountsBelow(this.dir)) execFileSync('umount', ['--lazy', mount]);
    removeNetworks(this.#place.bridge);
    spawnQuietly('ip', 'link', 'del', this.#place.bridge);
    await removeCgroups([...this.#cgroups, ...[...this.#namespaces].map((name) => `/${name}`)]);
    rmSync(this.dir, { recursive: true, force: true });
  }

  #import(namespace: string): Promise<void> {
    let imported = this.#imported.get(namespace);
    if (!imported) {
      imported = this.ctr(namespace, 'image', 'import', this.#image).then(() => undefined);
      this.#imported.set(namespace, imported);
    }
    return imported;
  }

  /** Ends the shims, and with them what they watch over. */
  #endShims(): void {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const command = commandLine(pid);
      if (!command.includes('containerd-shim') || !command.includes(this.socket)) continue;
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
      for (const child of children === '' ? [] : children.split(' ')) killQuietly(Number(child));
      killQuietly(Number(pid));
    }
  }
}

/** Empty when the process has ended. */
function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function spawnQuietly(command: string, ...args: string[]): void {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
  } catch {
    // There was nothing to remove.
  }
}

/** Mount points below a directory, the innermost first. */
function mountsBelow(dir: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${dir}/`))
    .reverse();
}
