import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { containerOfCgroup } from './cgroup-path.ts';
import { DockerFollower } from './docker-follower.ts';
import type { RuntimeContainer } from './runtime-container.ts';
import { waitFor } from '../../testkit/src/wait.ts';

const exec = promisify(execFile);
const IMAGE = 'localhost/netstatd-test:1';

/** A podman of its own, with its service of the Docker Engine API. Needs root, podman, runc, busybox. */
class Podman {
  readonly dir = mkdtempSync('/run/netstatd-test-pod-');
  readonly socket = join(this.dir, 'podman.sock');
  readonly #options: string[];
  readonly #env: NodeJS.ProcessEnv;
  #service: ChildProcess | undefined;

  constructor() {
    const file = join(this.dir, 'containers.conf');
    // podman's own limits are beyond what may be set here.
    writeFileSync(
      file,
      '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n',
    );
    this.#env = {
      ...process.env,
      CONTAINERS_CONF: file,
      PATH: `${process.env.PATH ?? ''}:/usr/sbin`,
    };
    this.#options = ['--root', join(this.dir, 'root'), '--runroot', join(this.dir, 'run')];
    this.#options.push('--tmpdir', join(this.dir, 'tmp'), '--storage-driver', 'vfs');
    this.#options.push(
      '--cgroup-manager',
      'cgroupfs',
      '--events-backend',
      'file',
      '--runtime',
      'runc',
    );
  }

  async podman(...args: string[]): Promise<string> {
    const { stdout } = await exec('podman', [...this.#options, ...args], { env: this.#env });
    return stdout.trim();
  }

  async makeImage(): Promise<void> {
    const tree = join(this.dir, 'tree');
    mkdirSync(join(tree, 'bin'), { recursive: true });
    copyFileSync('/bin/busybox', join(tree, 'bin', 'busybox'));
    chmodSync(join(tree, 'bin', 'busybox'), 0o755);
    for (const applet of ['sh', 'sleep', 'true']) symlinkSync('busybox', join(tree, 'bin', applet));
    const tar = join(this.dir, 'image.tar');
    await exec('tar', ['-C', tree, '-cf', tar, '.']);
    await this.podman('import', '--quiet', tar, IMAGE);
  }

  async serve(): Promise<void> {
    const url = `unix://${this.socket}`;
    const command = ['--pdeathsig', 'KILL', 'podman', ...this.#options, 'system', 'service'];
    const service = spawn('setpriv', [...command, '--time=0', url], {
      stdio: 'ignore',
      env: this.#env,
    });
    this.#service = service;
    await once(service, 'spawn');
  }

  async kill(): Promise<void> {
    const service = this.#service;
    if (service?.exitCode !== null) return;
    const gone = once(service, 'exit');
    service.kill('SIGKILL');
    await gone;
  }

  async close(): Promise<void> {
    await this.podman('rm', '--all', '--force', '--time', '0').catch(() => undefined);
    await this.kill();
    await exec('sh', ['-c', `umount -l ${this.dir}/root/vfs ${this.dir}/root 2>/dev/null; true`]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

let podman: Podman;
beforeAll(async () => {
  podman = new Podman();
  await podman.makeImage();
  await podman.serve();
}, 60_000);
afterAll(async () => podman.close(), 60_000);

test('B04 containers of a Docker Engine API are told as they come, change and go, through a restart of the engine', async () => {
  const known = new Map<string, RuntimeContainer>();
  const told: string[] = [];
  const early = await podman.podman(
    'run',
    '-d',
    '--name',
    'early',
    '--network',
    'none',
    IMAGE,
    'sleep',
    '600',
  );
  const follower = new DockerFollower({
    socket: podman.socket,
    retryMaxMs: 250,
    events: {
      container: (container) => {
        told.push(`${container.id} ${container.state}`);
        known.set(container.id, container);
      },
      removed: (id) => {
        told.push(`${id} removed`);
        known.delete(id);
      },
    },
  });
  try {
    await waitFor('the list', () => follower.state.synced);
    expect(follower.state.name).toMatch(/^podman \d.* \/run\/.*podman\.sock$/);
    expect(known.get(early)).toMatchObject({
      name: 'early',
      runtime: 'podman',
      state: 'running',
      hostNetwork: false,
    });

    const labels = ['--label', 'io.kubernetes.pod.name=web', '--label', 'app=a'];
    const host = await podman.podman(
      'run',
      '-d',
      '--name',
      'host',
      '--network',
      'host',
      ...labels,
      IMAGE,
      'sleep',
      '600',
    );
    const found = await waitFor('host', () => {
      const one = known.get(host);
      return one?.state === 'running' && one;
    });
    expect(found).toMatchObject({
      name: 'host',
      image: IMAGE,
      hostNetwork: true,
      labels: { app: 'a' },
    });
    expect(found.podIPs).toBeUndefined();
    const cgroup = readFileSync(`/proc/${found.pid!}/cgroup`, 'utf8')
      .split('\n')[0]!
      .split(':')[2]!;
    expect(containerOfCgroup(cgroup)?.containerUid).toBe(host);

    const short = await podman
      .podman(
        'run',
        '--rm',
        '--name',
        'short',
        '--network',
        'none',
        '--cidfile',
        join(podman.dir, 'cid'),
        IMAGE,
        'true',
      )
      .then(() => readFileSync(join(podman.dir, 'cid'), 'utf8'));
    await waitFor('the end of the short one', () => told.includes(`${short} removed`));
    expect(told.filter((one) => one.startsWith(short)).length).toBeGreaterThan(1);

    await podman.kill();
    await waitFor('the loss', () => !follower.state.synced);
    expect(follower.state.reason).toBeTruthy();
    expect(known.has(early)).toBe(true);
    await podman.podman('rm', '--force', '--time', '0', 'early');
    const meanwhile = await podman.podman(
      'run',
      '-d',
      '--name',
      'meanwhile',
      '--network',
      'none',
      IMAGE,
      'sleep',
      '600',
    );
    await podman.serve();
    await waitFor('the next list', () => follower.state.synced);
    const listed = (await podman.podman('ps', '--all', '--quiet', '--no-trunc')).split('\n').sort();
    expect([...known.keys()].sort()).toEqual(listed);
    expect(listed).toContain(meanwhile);
    expect(await follower.inspect(meanwhile, 1000)).toBe(true);
    expect(await follower.inspect('f'.repeat(64), 1000)).toBe(false);
    expect(await follower.inspect('../../version', 1000)).toBe(false);
    // Nothing was told twice in a row, and nothing after its removal.
    for (const id of new Set(told.map((one) => one.split(' ')[0]!))) {
      const states = told.filter((one) => one.startsWith(id));
      expect(states.filter((one) => one.endsWith('removed')).length).toBeLessThan(2);
      if (states.some((one) => one.endsWith('removed')))
        expect(states.at(-1)).toBe(`${id} removed`);
    }
  } finally {
    follower.close();
  }
}, 120_000);
