import fc from 'fast-check';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describeDocker, readDockerEvent, readDockerList } from './docker-container.ts';
import { DockerFollower } from './docker-follower.ts';
import { AnswerError, DockerHttp } from './docker-http.ts';
import { ConnectionError } from './runtime-api.ts';
import type { RuntimeContainer } from './runtime-container.ts';
import { waitFor } from '../../testkit/src/wait.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
type Answer = (path: string, response: ServerResponse) => void;

let directory: string;
let count = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'netstatd-docker-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A server of the Engine API that answers as it is told to. */
async function serving(answer: Answer, body: (socket: string) => Promise<void>): Promise<void> {
  const socket = join(directory, `${count++}.sock`);
  const server = createServer((request, response) => answer(request.url ?? '', response));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  try {
    await body(socket);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const json = (response: ServerResponse, told: unknown) => void response.end(JSON.stringify(told));
const inspected = (id: string, more: object = {}) => ({
  Id: id,
  Name: '/web',
  Created: '2026-11-20T13:56:46.731017595Z',
  State: {
    Status: 'running',
    Pid: 7,
    StartedAt: '2026-11-20T13:56:47Z',
    FinishedAt: '0001-01-01T00:00:00Z',
  },
  Config: { Image: 'shop/web:1', Labels: { app: 'web' } },
  HostConfig: { NetworkMode: 'bridge' },
  NetworkSettings: {
    SandboxKey: '/run/netns/x',
    Networks: { a: { IPAddress: '10.0.0.2', GlobalIPv6Address: 'FD00::2' } },
  },
  ...more,
});

test('B04 what Docker tells of a container', () => {
  expect(describeDocker(inspected(A), A, 'docker')?.container).toEqual({
    id: A,
    runtime: 'docker',
    name: 'web',
    image: 'shop/web:1',
    labels: { app: 'web' },
    sandbox: false,
    pid: 7,
    netnsPath: '/run/netns/x',
    podIPs: ['10.0.0.2', 'fd00::2'],
    hostNetwork: false,
    state: 'running',
    createdMicros: Date.parse('2026-11-20T13:56:46.731Z') * 1000 + 17,
    startedMicros: Date.parse('2026-11-20T13:56:47Z') * 1000,
  });
  expect(describeDocker(inspected(B), A, 'docker')).toBeUndefined();
  const shared = inspected(A, { HostConfig: { NetworkMode: `container:${B}` } });
  expect(describeDocker(shared, A, 'docker')?.container).not.toHaveProperty('hostNetwork');
  const pod = {
    'io.kubernetes.docker.type': 'podsandbox',
    'io.kubernetes.pod.name': 'p',
    'io.kubernetes.pod.namespace': 'n',
    'io.kubernetes.pod.uid': 'u',
  };
  const sandbox = inspected(A, { Config: { Labels: pod } });
  expect(describeDocker(sandbox, A, 'docker')?.container).toMatchObject({
    sandbox: true,
    podName: 'p',
  });
});

test('any JSON gives a bounded description or none', () => {
  const keys = ['Id', 'State', 'Status', 'Pid', 'Config', 'Labels', 'NetworkSettings', 'Networks'];
  keys.push(
    'IPAddress',
    'HostConfig',
    'NetworkMode',
    'Created',
    'StartedAt',
    'Type',
    'Action',
    'Actor',
  );
  const leaf = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(
      A,
      'running',
      'container',
      'network',
      'start',
      -1,
      1e99,
      '0001-01-01T00:00:00Z',
    ),
    fc.constant('x'.repeat(10_000)),
  );
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('tree')),
      fc.dictionary(fc.constantFrom(...keys), tie('tree')),
    ),
  }));
  fc.assert(
    fc.property(tree, fc.boolean(), (told, mine) => {
      const withId = mine && typeof told === 'object' && told !== null ? { ...told, Id: A } : told;
      const container = describeDocker(withId, A, 'docker')?.container;
      expect(JSON.stringify(container ?? '').length).toBeLessThan(50_000);
      if (container?.pid !== undefined) expect(container.pid).toBeGreaterThan(0);
      for (const { id } of readDockerList(told).listed) expect(id).toMatch(/^[0-9a-f]{64}$/);
      const event = readDockerEvent(JSON.stringify(told), 'docker');
      if (event) expect(event.id).toMatch(/^[0-9a-f]{64}$/);
    }),
    { numRuns: 200 },
  );
  fc.assert(fc.property(fc.string(), (line) => void readDockerEvent(line, 'docker')));
});

test.each<[string, Answer, new (...args: never[]) => Error]>([
  ['hangs', () => undefined, ConnectionError],
  [
    'drips',
    (_, response) => {
      const drop = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(drop));
    },
    ConnectionError,
  ],
  [
    'ends early',
    (_, response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('{"Version"');
      setTimeout(() => response.destroy(), 20);
    },
    ConnectionError,
  ],
  ['is no HTTP', (_, response) => void response.socket?.end('SSH-2.0-x\r\n'), ConnectionError],
  [
    'sends ten gigabytes',
    (_, response) => {
      const piece = Buffer.alloc(1 << 20, 0x20);
      const more = () => {
        while (!response.destroyed && response.write(piece));
      };
      response.on('drain', more);
      more();
    },
    AnswerError,
  ],
  ['says no JSON', (_, response) => void response.end('<html>'), AnswerError],
  ['fails', (_, response) => void response.writeHead(500).end('{}'), AnswerError],
])('a server that %s is an error in time', async (_, answer, kind) => {
  await serving(answer, async (socket) => {
    const http = new DockerHttp(socket, 4 << 20);
    try {
      await expect(http.get('/version', 400)).rejects.toBeInstanceOf(kind);
    } finally {
      http.close();
    }
  });
});

test('a follower outlives an engine that misbehaves in every way, says why, and loses nothing', async () => {
  let mood = 'hang';
  let events: ServerResponse | undefined;
  const answer: Answer = (path, response) => {
    if (mood === 'hang') return;
    if (path === '/version') json(response, { Version: '27.0', Components: 7 });
    else if (path.startsWith('/events')) {
      events = response;
      response.writeHead(200).flushHeaders();
    } else if (path.startsWith('/containers/json')) {
      json(response, [{ Id: A, State: 'running' }, { Id: '../x', State: 1 }, null, { Id: B }]);
    } else if (path === `/containers/${A}/json`) {
      json(response, inspected(A, { Config: { Labels: { big: 'x'.repeat(1 << 20), app: 'a' } } }));
    } else if (mood === 'wrong') json(response, inspected(A));
    else response.writeHead(404).end();
  };
  const known = new Map<string, RuntimeContainer>();
  const removed: string[] = [];
  await serving(answer, async (socket) => {
    const follower = new DockerFollower({
      socket,
      retryMaxMs: 50,
      answerMs: 200,
      listMs: 200,
      events: {
        container: (container) => known.set(container.id, container),
        removed: (id) => removed.push(id),
      },
    });
    try {
      await waitFor('the reason', () => follower.state.reason?.includes('no answer in time'));
      mood = 'wrong';
      await waitFor('the list', () => follower.state.synced);
      expect(follower.state.name).toBe(`docker 27.0 ${socket}`);
      expect([...known.keys()]).toEqual([A]);
      expect(known.get(A)?.labels.big).toHaveLength(1024);
      expect(follower.counters.truncatedLabels).toBeGreaterThan(0);
      const malformed = follower.counters.malformed!;
      expect(malformed).toBeGreaterThanOrEqual(3);
      mood = 'well';
      const gone = {
        Type: 'container',
        Action: 'die',
        Actor: { ID: B, Attributes: { name: 'brief', image: 'i', app: 'b' } },
      };
      events!.write(`${JSON.stringify(gone)}\n${JSON.stringify(gone)}\n`);
      await waitFor('the brief one', () => removed.includes(B));
      expect(known.get(B)).toMatchObject({
        name: 'brief',
        image: 'i',
        labels: { app: 'b' },
        state: 'exited',
      });
      const lists = follower.counters.lists!;
      events!.write(`{"Type":"container","x":"${'y'.repeat(2 << 20)}"}\nnull\n`);
      await waitFor('another list', () => follower.counters.lists! > lists);
      events!.write(
        `${JSON.stringify({ ...gone, Action: 'exec_die' })}\n${JSON.stringify(gone)}\n`,
      );
      await delay(100);
      expect(removed).toEqual([B]);
      events!.destroy();
      await waitFor('the loss', () => follower.counters.failures! >= 2);
      await waitFor('the list again', () => follower.state.synced);
      expect(removed).toEqual([B]);
      expect(follower.size).toBe(1);
    } finally {
      follower.close();
    }
  });
}, 30_000);
