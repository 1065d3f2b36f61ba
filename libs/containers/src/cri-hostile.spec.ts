import {
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import fc from 'fast-check';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verboseInfo } from './cri-container.ts';
import { CriFollower } from './cri-follower.ts';
import {
  ContainerEventType,
  ContainerState,
  RuntimeServiceService,
  type ContainerEventResponse,
} from './generated/cri/runtime.ts';
import type { RuntimeContainer } from './runtime-container.ts';
import { waitFor } from '../../testkit/src/wait.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const SANDBOX = 'c'.repeat(64);

/** CRI-O as its documentation and sources have it: events by stream where they are enabled, for any reader. */
class FakeCrio {
  events: 'on' | 'off' | 'unimplemented' = 'on';
  info = JSON.stringify({
    sandboxID: SANDBOX,
    pid: 77,
    runtimeSpec: {
      linux: {
        cgroupsPath: `kubepods-burstable-podx.slice:crio:${A}`,
        namespaces: [{ type: 'pid' }, { type: 'network', path: '/var/run/netns/1' }],
      },
    },
  });
  hang = false;
  broken = false;
  readonly running = new Set([A]);
  readonly readers = new Set<ServerWritableStream<unknown, ContainerEventResponse>>();
  #server = new Server();

  async listen(socket: string): Promise<void> {
    this.#server = new Server();
    const metadata = { name: 'web', uid: 'u', namespace: 'shop', attempt: 0 };
    const container = (id: string) => ({
      id,
      podSandboxId: SANDBOX,
      metadata: { name: id.slice(0, 1), attempt: 0 },
      image: { image: 'sha256:x', userSpecifiedImage: 'shop/web:1' },
      imageRef: 'sha256:x',
      state: ContainerState.CONTAINER_RUNNING,
      createdAt: 1_700_000_000_000_000_001n,
      labels: {},
    });
    const answer =
      <Request, Answer>(make: (request: Request) => Answer | undefined) =>
      ({ request }: { request: Request }, done: sendUnaryData<Answer>) => {
        if (this.hang) return;
        const made = make(request);
        if (made === undefined) done({ code: status.NOT_FOUND, details: 'no such thing' });
        else done(null, made);
      };
    this.#server.addService(RuntimeServiceService, {
      version: answer(() => ({
        version: '0.1.0',
        runtimeName: 'cri-o',
        runtimeVersion: '1.30.2',
        runtimeApiVersion: 'v1',
      })),
      listPodSandbox: answer(() => ({
        items: [{ id: SANDBOX, metadata, state: 0, createdAt: 0n, labels: {} }],
      })),
      listContainers: answer(() => ({
        containers: [...this.running, '/etc/passwd', ''].map(container),
      })),
      podSandboxStatus: answer(({ podSandboxId }: { podSandboxId: string }) =>
        podSandboxId === SANDBOX
          ? {
              status: {
                id: SANDBOX,
                metadata,
                state: 0,
                createdAt: 0n,
                network: { ip: '10.0.0.9', additionalIps: [{ ip: 'FD00::9' }, { ip: 'x' }] },
                linux: { namespaces: { options: { network: 0, pid: 0, ipc: 0 } } },
                labels: {},
              },
              info: {},
            }
          : undefined,
      ),
      containerStatus: (
        { request }: { request: { containerId: string } },
        done: sendUnaryData<object>,
      ) => {
        const { containerId } = request;
        if (this.hang) return;
        if (this.broken) done({ code: status.INTERNAL, details: 'x'.repeat(1000) });
        else if (!this.running.has(containerId)) done({ code: status.NOT_FOUND });
        else {
          const told = { startedAt: 0n, finishedAt: 0n, exitCode: 0 };
          done(null, { status: { ...container(containerId), ...told }, info: { info: this.info } });
        }
      },
      getContainerEvents: (stream: ServerWritableStream<unknown, ContainerEventResponse>) => {
        if (this.events === 'off') stream.end();
        else if (this.events === 'unimplemented') {
          stream.emit('error', { code: status.UNIMPLEMENTED, details: 'no' });
        } else this.readers.add(stream);
      },
    });
    await new Promise<void>((resolve, reject) =>
      this.#server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
  }

  event(containerId: string): void {
    for (const reader of this.readers)
      reader.write({ containerId, containerEventType: ContainerEventType.CONTAINER_CREATED_EVENT });
  }

  close(): void {
    this.readers.clear();
    this.#server.forceShutdown();
  }
}

let directory: string;
let socket: string;
let crio: FakeCrio;
let follower: CriFollower;
let known: Map<string, RuntimeContainer>;
let told: string[];
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'netstatd-cri-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;
beforeEach(() => {
  socket = join(directory, `${count++}.sock`);
  crio = new FakeCrio();
  known = new Map();
  told = [];
});
afterEach(() => {
  follower.close();
  crio.close();
});

function follow(): void {
  follower = new CriFollower({
    socket,
    retryMaxMs: 50,
    answerMs: 300,
    listMs: 300,
    pollMs: 50,
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
}

test('B04 CRI-O with events: what happens is told from the stream, and again after its loss', async () => {
  await crio.listen(socket);
  follow();
  await waitFor('the list', () => follower.state.synced);
  expect(follower.state.name).toBe(`cri-o 1.30.2 ${socket}`);
  const pod = {
    podName: 'web',
    podNamespace: 'shop',
    podUid: 'u',
    podIPs: ['10.0.0.9', 'fd00::9'],
  };
  expect(known.get(A)).toEqual({
    id: A,
    runtime: 'cri-o',
    name: 'a',
    image: 'shop/web:1',
    labels: {},
    ...pod,
    hostNetwork: false,
    containerName: 'a',
    sandbox: false,
    sandboxId: SANDBOX,
    pid: 77,
    netnsPath: '/var/run/netns/1',
    cgroupsPath: `kubepods-burstable-podx.slice:crio:${A}`,
    state: 'running',
    createdMicros: 1_700_000_000_000_000,
  });
  expect([...known.keys()].sort()).toEqual([A, SANDBOX]);
  await waitFor('the second list', () => follower.counters.lists! >= 2);
  crio.running.add(B);
  crio.event(B);
  await waitFor('the new one', () => known.has(B));
  crio.running.delete(A);
  crio.event(A);
  crio.event('../../x');
  await waitFor('the end', () => !known.has(A));
  expect(follower.counters.lists).toBe(2);
  expect(follower.counters.polled).toBe(0);

  crio.close();
  await waitFor('the loss', () => !follower.state.synced);
  expect(known.has(B)).toBe(true);
  crio.running.delete(B);
  await crio.listen(socket);
  await waitFor('the list', () => follower.state.synced && !known.has(B));
  expect(told.filter((one) => one.endsWith('removed'))).toEqual([`${A} removed`, `${B} removed`]);
}, 30_000);

test.each(['off', 'unimplemented'] as const)(
  'B04 events %s: CRI-O is polled',
  async (events) => {
    crio.events = events;
    await crio.listen(socket);
    follow();
    await waitFor('the poll', () => follower.state.name.endsWith('(polled: it tells no events)'));
    crio.running.add(B);
    await waitFor('the new one', () => known.has(B));
    crio.running.clear();
    await waitFor('the end of both', () => !known.has(A) && !known.has(B));
    expect(follower.counters.polled).toBe(1);
  },
  30_000,
);

test('a runtime that hangs, fails, or says nonsense is named as the reason, and followed once it is well', async () => {
  crio.events = 'off';
  crio.hang = true;
  follow();
  await waitFor('the reason', () => follower.counters.failures! > 0);
  expect(follower.state.reason).toMatch(/^Version: /);
  await crio.listen(socket);
  await waitFor('the other reason', () => follower.state.reason === 'Version: no answer in time');
  crio.hang = false;
  crio.broken = true;
  // One that cannot be described is told as the list has it.
  await waitFor('the list', () => follower.state.synced);
  expect(known.get(A)).toMatchObject({ name: 'a', podName: 'web', state: 'running' });
  expect(known.get(A)).not.toHaveProperty('pid');
  crio.broken = false;
  crio.info = '{"pid":';
  await follower.inspect(A, 1000);
  expect(known.get(A)).toMatchObject({ name: 'a', sandboxId: SANDBOX });
  expect(follower.counters.malformed).toBeGreaterThan(0);
}, 30_000);

test('any verbose text gives sound values or none', () => {
  const keys = fc.constantFrom(
    'pid',
    'sandboxID',
    'runtimeSpec',
    'linux',
    'namespaces',
    'type',
    'path',
  );
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      fc.jsonValue(),
      fc.constantFrom('network', 'x'.repeat(5000), -1, 1e99, 7),
      fc.array(tie('tree')),
      fc.dictionary(keys, tie('tree')),
    ),
  }));
  const sound = (text: string) => {
    const { pid, ...texts } = verboseInfo({ info: text }) ?? {};
    if (pid !== undefined) expect(Number.isInteger(pid) && pid > 0).toBe(true);
    for (const value of Object.values(texts)) expect(value.length).toBeLessThanOrEqual(1024);
  };
  fc.assert(fc.property(tree, (value) => sound(JSON.stringify(value))));
  fc.assert(fc.property(fc.string(), sound));
  expect(verboseInfo({ info: `"${'x'.repeat(5 << 20)}"` })).toBeUndefined();
  expect(verboseInfo({})).toEqual({});
});
