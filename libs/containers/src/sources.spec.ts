import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { RuntimeContainer, RuntimeEvents, RuntimeFollower } from './runtime-container.ts';
import { mergeDescriptions } from './sources-merge.ts';
import { candidateSockets, knownSockets, type RuntimeSocket } from './sources-sockets.ts';
import { ContainerSources, type ContainerSourcesOptions } from './sources.ts';
import { waitFor } from '../../testkit/src/wait.ts';

const A = 'a'.repeat(64);
const container = (more: Partial<RuntimeContainer> = {}): RuntimeContainer => ({
  id: A,
  runtime: 'containerd',
  labels: {},
  sandbox: false,
  state: 'running',
  ...more,
});

/** What a test has a followed runtime say. */
class Followed implements RuntimeFollower {
  state = { name: '', synced: true };
  counters = { events: 1 };
  size = 0;
  closed = false;
  readonly events: RuntimeEvents;
  readonly asked: string[] = [];
  constructor(events: RuntimeEvents) {
    this.events = events;
  }
  inspect(id: string): Promise<boolean> {
    this.asked.push(id);
    return Promise.resolve(false);
  }
  close(): void {
    this.closed = true;
  }
}

let root: string;
let servers: Server[];
let sources: ContainerSources;
let followed: Map<string, Followed>;
let told: (RuntimeContainer | string)[];
let log: string[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'netstatd-sources-'));
  servers = [];
  followed = new Map();
  told = [];
  log = [];
});
afterEach(async () => {
  sources.close();
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  rmSync(root, { recursive: true, force: true });
});

async function listen(path: string): Promise<Server> {
  const at = join(root, path);
  mkdirSync(dirname(at), { recursive: true });
  const server = createServer((socket) => socket.destroy());
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(at, resolve));
  return server;
}

function look(options: Partial<ContainerSourcesOptions> = {}): void {
  sources = new ContainerSources({
    hostRoot: root,
    lookMs: 20,
    goneMs: 60,
    log: {
      info: (_: unknown, message?: string) => log.push(message ?? ''),
      warn: (_: unknown, message?: string) => log.push(message ?? ''),
    } as ContainerSourcesOptions['log'],
    events: { container: (one) => told.push(one), removed: (id) => told.push(id) },
    follow: (socket: RuntimeSocket, events: RuntimeEvents) => {
      const follower = new Followed(events);
      follower.state.name = socket.kind;
      followed.set(socket.path.slice(root.length), follower);
      return Promise.resolve(follower);
    },
    ...options,
  });
}

test('a machine without any runtime is ready, and it is said once', async () => {
  look();
  await waitFor('some looks', async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    return true;
  });
  expect(sources.state).toEqual({ name: 'no container runtime found', synced: true });
  expect(log).toEqual(['no container runtime found; looking again every now and then']);
});

test('B04 every known socket is followed, also one that comes later, and no socket twice', async () => {
  await listen('/run/containerd/containerd.sock');
  look();
  await waitFor('the first', () => followed.size === 1);
  for (const { path } of knownSockets.slice(1)) await listen(path);
  await waitFor('all', () => followed.size === knownSockets.length);
  expect([...followed.keys()].sort()).toEqual(knownSockets.map(({ path }) => path).sort());
  expect(sources.states).toHaveLength(knownSockets.length);
  expect(sources.counters.sources).toBe(knownSockets.length);
  expect(sources.counters.events).toBe(knownSockets.length);
  followed.get('/run/docker.sock')!.state = { name: 'docker', synced: false };
  expect(sources.state).toMatchObject({ synced: false, reason: 'docker: not listed yet' });
});

test('a container of two runtimes is one, and removed when neither knows it', async () => {
  await listen('/run/containerd/containerd.sock');
  await listen('/run/docker.sock');
  look();
  await waitFor('both', () => followed.size === 2);
  const [containerd, docker] = ['/run/containerd/containerd.sock', '/run/docker.sock'].map(
    (path) => followed.get(path)!.events,
  );
  containerd!.container(container({ containerdNamespace: 'moby', pid: 7, labels: { a: '1' } }));
  docker!.container(
    container({ runtime: 'docker', name: 'web', pid: 7, labels: { b: '2' }, startedMicros: 5 }),
  );
  expect(sources.size).toBe(1);
  expect(told.at(-1)).toEqual(
    container({
      runtime: 'docker',
      containerdNamespace: 'moby',
      name: 'web',
      pid: 7,
      labels: { a: '1', b: '2' },
      startedMicros: 5,
    }),
  );
  expect(await sources.inspect(A, 100)).toBe(true);
  expect(await sources.inspect('unknown', 100)).toBe(false);
  expect([...followed.values()].map(({ asked }) => asked)).toEqual([
    [A, 'unknown'],
    [A, 'unknown'],
  ]);
  containerd!.removed(A);
  expect(told.at(-1)).toMatchObject({ name: 'web' });
  expect(told.at(-1)).not.toHaveProperty('containerdNamespace');
  containerd!.removed(A);
  docker!.removed(A);
  expect(told.slice(3)).toEqual([A]);
  expect(sources.size).toBe(0);
});

test('a runtime that was taken off the machine is given up, with what it had', async () => {
  const server = await listen('/run/docker.sock');
  look();
  await waitFor('it', () => followed.size === 1);
  const docker = followed.get('/run/docker.sock')!;
  docker.events.container(container());
  docker.state.synced = false;
  await new Promise((resolve) => server.close(resolve));
  servers = [];
  await waitFor('its end', () => sources.states.length === 0);
  expect(docker.closed).toBe(true);
  expect(told.at(-1)).toBe(A);
  docker.events.container(container());
  expect(sources.size).toBe(0);
  await listen('/run/docker.sock');
  await waitFor('it again', () => sources.states.length === 1);
});

test('CONTAINERD_SOCKET alone is looked at, and waited for', async () => {
  await listen('/run/docker.sock');
  look({ containerdSocket: `unix://${root}/mine.sock` });
  expect(sources.state).toMatchObject({ synced: false });
  expect(sources.state.reason).toContain('no such socket');
  await listen('/mine.sock');
  await waitFor('it', () => sources.state.synced);
  expect([...followed.keys()]).toEqual(['/mine.sock']);
});

const asUser = process.getuid?.() === 0 ? test.skip : test;
asUser(
  '(not on this machine: an ordinary user) a socket that may not be opened is said once',
  async () => {
    await listen('/run/docker.sock');
    chmodSync(join(root, '/run/docker.sock'), 0);
    look();
    await waitFor('the word', () => log.length > 0);
    expect(sources.state.synced).toBe(true);
  },
);

test('paths of sockets', () => {
  look();
  expect(candidateSockets('/host')[0]).toEqual({
    kind: 'containerd',
    path: '/host/run/containerd/containerd.sock',
  });
  const mine = [{ kind: 'containerd', path: '/x/y.sock' }];
  for (const text of ['/x/y.sock', 'unix:///x/y.sock', 'unix:/x/y.sock']) {
    expect(candidateSockets('/host', text)).toEqual(mine);
  }
});

test('the life of a container is told by who knows the latest of it', () => {
  const docker = container({ runtime: 'docker', startedMicros: 10, pid: 7 });
  const ended = container({ state: 'exited', startedMicros: 10, exitedMicros: 20 });
  expect(mergeDescriptions([ended, docker])).toMatchObject({ state: 'exited', exitedMicros: 20 });
  expect(mergeDescriptions([docker, ended])).not.toHaveProperty('pid');
  const again = container({ runtime: 'docker', startedMicros: 30, pid: 8 });
  const running = mergeDescriptions([ended, again]);
  expect(running).toMatchObject({ state: 'running', pid: 8, runtime: 'docker' });
  expect(running).not.toHaveProperty('exitedMicros');
});
