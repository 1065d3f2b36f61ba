import { buildSync } from 'esbuild';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';

// Processes are started here, and the machine may be busy.
jest.setTimeout(30_000);

const dir = mkdtempSync(join(tmpdir(), 'netstatd-cli-'));
const program = join(dir, 'main.js');
const cleanups: (() => unknown)[] = [];

beforeAll(() => {
  buildSync({
    entryPoints: [join(__dirname, '..', 'main.ts')],
    outfile: program,
    bundle: true,
    platform: 'node',
    target: 'node20',
  });
});
afterEach(() => cleanups.splice(0).forEach((cleanup) => cleanup()));
afterAll(() => rmSync(dir, { recursive: true }));

/** The server's side of the protocol, played by the test: what a gateway sends is the e2e tests' matter. */
async function serve(port = 0) {
  const server = new WebSocketServer({ port, host: '127.0.0.1' });
  await once(server, 'listening');
  const close = () => {
    server.clients.forEach((client) => client.terminate());
    server.close();
  };
  cleanups.push(close);
  const { port: chosen } = server.address() as AddressInfo;
  const client = async () => {
    const [socket, request] = (await once(server, 'connection')) as [WebSocket, { url: string }];
    return { socket, query: new URL(request.url, 'ws://x').searchParams };
  };
  return { port: chosen, url: `ws://127.0.0.1:${chosen}/conntrack`, client, close };
}

function run(args: string[]) {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  cleanups.push(() => child.kill('SIGKILL'));
  const seen = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (seen.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (seen.stderr += text));
  return { child, seen, ended: once(child, 'exit') };
}

async function until(child: ChildProcess, condition: () => boolean): Promise<void> {
  while (!condition()) {
    const streams = [child.stdout, child.stderr].flatMap((s) => (s ? [once(s, 'data')] : []));
    await Promise.race(streams);
  }
}

const connection = {
  type: 'connection.event',
  timestamp: '2025-01-31T12:00:00.123456Z',
  nodeName: 'n1',
  protocol: 'TCP',
  family: 4,
  state: 'ESTABLISHED',
  direction: 'outbound',
  sockCookie: 7,
  localIP: '10.0.0.1',
  localPort: 4000,
  remoteIP: '10.0.0.2',
  remotePort: 80,
  pid: 42,
  comm: 'cu\u001brl',
};
const lagged = { type: 'stream.lagged', timestamp: connection.timestamp, nodeName: 'n1' };
const text = (event: object) => JSON.stringify(event);

test('watch prints lines on stdout, all else on stderr, and ends orderly', async () => {
  const server = await serve();
  const { child, seen, ended } = run([
    'watch',
    '--url',
    server.url,
    '--port',
    '80',
    '--port=443',
    '--ip',
    '10.0.0.0/8',
  ]);
  const { socket, query } = await server.client();
  expect([query.getAll('port'), query.getAll('ip')]).toEqual([['80', '443'], ['10.0.0.0/8']]);
  expect([query.getAll('type'), query.get('snapshot')]).toEqual([['connection.event'], 'false']);
  socket.send(text({ ...lagged, dropped: 5, place: 'client' }));
  socket.send(text(connection));
  await until(child, () => seen.stdout.includes('10.0.0.2:80') && seen.stderr.includes('lost'));
  expect(seen.stdout).toMatch(
    /^TIME +COMM +PID +SADDR +-> DADDR:PORT *\n\d\d:\d\d:00\.123 cu\\x1brl +42 +10\.0\.0\.1 +-> 10\.0\.0\.2:80 *\n$/,
  );
  expect(seen.stderr).toBe(
    `netstatd: following ${server.url}\nnetstatd: 5 events lost at the client\n`,
  );
  child.kill('SIGINT');
  expect(await ended).toEqual([0, null]);
});

test('log prints one JSON object a line, and goes on when the gateway was away', async () => {
  const server = await serve();
  const { child, seen, ended } = run(['log', '--url', server.url]);
  const first = await server.client();
  expect(first.query.getAll('type')).toEqual(['connection.event', 'connection.accepted']);
  first.socket.send(text(connection));
  await until(child, () => seen.stdout.endsWith('}\n'));
  server.close();
  await until(child, () => seen.stderr.includes('trying again'));
  const again = await serve(server.port);
  (await again.client()).socket.send(text({ ...connection, state: 'CLOSE', bytesSent: 3 }));
  await until(child, () => seen.stdout.split('\n').length > 2);
  const lines = seen.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  expect(lines).toMatchObject([
    { type: 'CONNECT', src_ip: '10.0.0.1', dst_ip: '10.0.0.2', process: 'cu\u001brl' },
    { type: 'CLOSE', bytes_sent: 3 },
  ]);
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});

test('a reader that has gone is an orderly end', async () => {
  const server = await serve();
  const { child, ended } = run(['log', '--url', server.url]);
  const { socket } = await server.client();
  child.stdout.destroy();
  socket.send(text(connection));
  expect(await ended).toEqual([0, null]);
});

test('a reader that does not read makes nothing grow, and is told', async () => {
  const server = await serve();
  const { child, seen, ended } = run(['log', '--url', server.url]);
  const { socket } = await server.client();
  child.stdout.removeAllListeners('data').pause();
  const comm = 'x'.repeat(1000);
  for (let sockCookie = 1; sockCookie <= 20_000; sockCookie++)
    socket.send(text({ ...connection, comm, sockCookie }));
  await until(child, () => seen.stderr.includes('lines not written'));
  child.kill('SIGINT');
  expect(await ended).toEqual([0, null]);
});

test('a gateway that refuses is a failure with its reason', async () => {
  const server = createServer((_request, response) => response.end()).listen(0, '127.0.0.1');
  server.on('upgrade', (_request, socket) => {
    const body = '{"status":400,"detail":"no such parameter"}';
    socket.end(
      `HTTP/1.1 400 Bad Request\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
  });
  await once(server, 'listening');
  cleanups.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { seen, ended } = run(['watch', '--url', `ws://127.0.0.1:${port}/conntrack`]);
  expect(await ended).toEqual([1, null]);
  expect(seen.stderr).toContain('no such parameter');
});
