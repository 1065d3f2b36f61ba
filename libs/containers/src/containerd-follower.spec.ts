import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Server as GrpcServer,
  ServerCredentials,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ContainerdFollower } from './containerd-follower.ts';
import { ContainersService } from './generated/containerd/containers.ts';
import { EventsService } from './generated/containerd/events.ts';
import { NamespacesService } from './generated/containerd/namespaces.ts';
import { TasksService } from './generated/containerd/tasks.ts';
import { VersionService } from './generated/containerd/version.ts';
import type { RuntimeContainer } from './runtime-container.ts';

let dir: string;
let socket: string;
let logged: string[];
const ends: (() => void)[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'netstatd-ctd-'));
  socket = join(dir, 's');
  logged = [];
});
afterEach(() => {
  for (const end of ends.splice(0)) end();
  rmSync(dir, { recursive: true, force: true });
});

function follow(options: { callMs?: number; heartbeatMs?: number } = {}) {
  const told: RuntimeContainer[] = [];
  const say = (_: object, message: string) => logged.push(message);
  const follower = new ContainerdFollower({
    socket,
    log: { info: say, warn: say } as unknown as ConstructorParameters<
      typeof ContainerdFollower
    >[0]['log'],
    events: { container: (container) => told.push(container), removed: () => undefined },
    ...options,
  });
  ends.push(() => follower.close());
  return { follower, told };
}

async function serve(each: (client: Socket) => void): Promise<Server> {
  const server = createServer(each);
  await new Promise<void>((done) => server.listen(socket, done));
  ends.push(() => server.close());
  return server;
}

async function until(probe: () => boolean) {
  while (!probe()) await delay(10);
}

test('A12 without a socket there is a reason, one line, and no end of trying', async () => {
  const { follower } = follow();
  await until(() => (follower.counters.failures ?? 0) > 2);
  expect(follower.state).toMatchObject({
    synced: false,
    reason: expect.stringContaining('ENOENT') as string,
  });
  expect(logged).toEqual(['containerd is not followed']);
  expect(await follower.inspect('x', 10)).toBe(false);
});

test('D05 a server that accepts and says nothing', async () => {
  const clients: Socket[] = [];
  await serve((client) => clients.push(client));
  ends.push(() => clients.forEach((client) => client.destroy()));
  const { follower } = follow({ callMs: 100, heartbeatMs: 50 });
  await until(() => (follower.counters.failures ?? 0) > 2);
  expect(follower.state.reason).toBe('Version: no answer in time');
  expect(logged).toEqual(['containerd is not followed']);
  expect(await follower.inspect('x', 10)).toBe(false);
});

test.each([
  'HTTP/1.1 400 Bad Request\r\n\r\n',
  '\0'.repeat(100_000),
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
])('D05 a server of garbage', async (garbage) => {
  await serve((client) => {
    client.on('error', () => undefined);
    client.end(garbage);
  });
  const { follower, told } = follow();
  await until(() => (follower.counters.failures ?? 0) > 2);
  expect(follower.state.synced).toBe(false);
  expect(told).toEqual([]);
});

type Unary = (call: unknown, done: (error: null, answer: object) => void) => void;
const answer =
  (value: object): Unary =>
  (_, done) =>
    done(null, value);

async function pretend(containers: UntypedServiceImplementation): Promise<void> {
  const server = new GrpcServer();
  server.addService(VersionService, { version: answer({ version: '1.0.0' }) });
  server.addService(NamespacesService, {
    list: answer({ namespaces: [{ name: 'ns' }, { name: '../x' }] }),
  });
  server.addService(EventsService, { subscribe: () => undefined });
  server.addService(TasksService, {
    list: answer({
      tasks: [{ containerId: '', id: 'old', pid: 7, status: 2, exitedAt: undefined }],
    }),
    get: answer({ process: undefined }),
  });
  server.addService(ContainersService, containers);
  await new Promise<void>((done, failed) =>
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error ? failed(error) : done(),
    ),
  );
  ends.push(() => server.forceShutdown());
}

const container = (id: string) => ({
  id,
  labels: {},
  image: '',
  runtime: undefined,
  spec: undefined,
  createdAt: undefined,
  extensions: {},
});

test('A10 a containerd that has no streamed lists', async () => {
  await pretend({ list: answer({ containers: [container('old'), container('bad/id')] }) });
  const { follower, told } = follow();
  await until(() => follower.state.synced);
  expect(told).toMatchObject([{ id: 'old', state: 'running', pid: 7 }]);
  expect(follower.counters).toMatchObject({ listed: 2, malformed: 1, connects: 1, failures: 0 });
});

test('A12 a stream of events that ends is a loss', async () => {
  await pretend({ list: answer({ containers: [container('old')] }) });
  const { follower, told } = follow();
  await until(() => follower.state.synced);
  ends.shift()?.();
  rmSync(socket, { force: true });
  await until(() => !follower.state.synced);
  await pretend({ list: answer({ containers: [container('old')] }) });
  await until(() => follower.state.synced);
  expect(told).toHaveLength(1);
  expect(logged).toEqual([
    'containerd is followed',
    'containerd is not followed',
    'containerd is followed',
  ]);
});
