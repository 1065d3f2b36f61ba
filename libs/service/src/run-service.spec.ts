import { buildSync } from 'esbuild';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServiceMessage } from './supervisor-channel.ts';

// Processes are started here, and the machine may be busy.
jest.setTimeout(30_000);

const dir = mkdtempSync(join(tmpdir(), 'netstatd-service-'));
const program = join(dir, 'sample.js');
const running = new Set<ChildProcess>();

beforeAll(() => {
  buildSync({
    entryPoints: [join(__dirname, 'fixtures', 'sample-service.ts')],
    outfile: program,
    bundle: true,
    platform: 'node',
    target: 'node20',
    define: { NETSTATD_VERSION: '"1.2.3"' },
  });
});
afterEach(() => running.forEach((child) => child.kill('SIGKILL')));
afterAll(() => rmSync(dir, { recursive: true }));

/** Starts the sample; `ports` and `ready` resolve with what it tells over IPC. */
function start(args: string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { PATH: process.env.PATH, NODE_NAME: 'n1', ...env },
  });
  running.add(child);
  const seen = { stdout: '', stderr: '', messages: [] as ServiceMessage[] };
  child.stdout?.on('data', (chunk) => (seen.stdout += String(chunk)));
  child.stderr?.on('data', (chunk) => (seen.stderr += String(chunk)));
  child.on('message', (message) => seen.messages.push(message as ServiceMessage));
  const end = once(child, 'close').then(([code]) => {
    running.delete(child);
    return { code: code as number | null, ...seen };
  });
  const started = new Promise<number>((resolve) => {
    child.stderr?.on('data', () => {
      const port = /"healthPort":(\d+)/.exec(seen.stderr)?.[1];
      if (port) resolve(Number(port));
    });
  });
  return { child, seen, end, started };
}

test.each([
  [['--log-level', 'loud'], {}, '--log-level: "loud" is not allowed; allowed: trace, debug, info'],
  [[], { LOG_LEVEL: 'x\u001b[31m\ny' }, 'LOG_LEVEL: "x\\u001b[31m\\ny" is not allowed; allowed: '],
  [['--log-levle=info'], {}, '"--log-levle" is not a setting; the nearest is --log-level'],
  [['--node-name', 'a/b'], {}, '--node-name: "a/b" is not allowed; allowed: letters, digits'],
  [['--health-port=65536'], {}, '--health-port: "65536" is not allowed; allowed: a port from'],
  [['--health-port'], {}, '--health-port needs a value; allowed: '],
  [['serve'], {}, 'unexpected argument "serve"'],
  [['--nats-url', 'http://user:pw@x'], {}, '--nats-url: the value given is not allowed; allowed: '],
])('%j %j is refused in one line', async (args, env, expected) => {
  const { code, stderr, stdout } = await start(args, env).end;
  expect(stderr).toMatch(/^netstatd-sample: [^\n]*\n$/);
  expect(stderr).toContain(expected);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});

test('flags come before the environment, and that before the default', async () => {
  const env = { LOG_LEVEL: 'warn', NODE_NAME: 'from-env', BEHAVIOUR: '' };
  const { child, seen, end, started } = start(
    ['--node-name=a', '--node-name', 'b', '--log-level', 'info', '--no-loopback'],
    env,
  );
  await started;
  expect(JSON.parse(seen.stdout)).toMatchObject({
    nodeName: 'b',
    logLevel: 'info',
    behaviour: 'serve',
    loopback: false,
    natsUrl: 'nats://127.0.0.1:4222',
  });
  child.kill('SIGTERM');
  expect((await end).code).toBe(0);
});

test('--help lists every setting, --version names the build', async () => {
  const help = await start(['--help']).end;
  expect(help.code).toBe(0);
  for (const text of ['--nats-url', 'NATS_URL', '--loopback, --no-loopback', 'default serve']) {
    expect(help.stdout).toContain(text);
  }
  expect((await start(['--version']).end).stdout).toBe('netstatd-sample 1.2.3\n');
});

test('health, readiness and metrics are served, other paths and methods are problems', async () => {
  const { child, started, end } = start(['--behaviour', 'unready']);
  const url = `http://127.0.0.1:${await started}`;
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  const ready = await fetch(`${url}/readyz`);
  expect(ready.headers.get('content-type')).toBe('application/problem+json');
  expect(await ready.json()).toMatchObject({ status: 503, reasons: { bus: 'no connection' } });
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain('sample_total{kind="a"} 3');
  expect(metrics).toContain('netstatd_build_info{service="sample",version="1.2.3"} 1');
  const missing = await fetch(`${url}/nothing`);
  expect(await missing.json()).toMatchObject({ status: 404, title: 'Not Found' });
  const posted = await fetch(`${url}/healthz`, { method: 'POST' });
  expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  child.kill('SIGINT');
  const { code, messages } = await end;
  expect(code).toBe(0);
  expect(messages).toContainEqual({ netstatd: 'ports', ports: { sample: 1 } });
  expect(messages.at(-1)).toMatchObject({ ready: false, reasons: { bus: 'no connection' } });
});

test('a taken port is one clear line', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const { code, stderr } = await start(['--health-port', String(port)]).end;
  other.close();
  expect(stderr).toBe(
    `netstatd-sample: 127.0.0.1:${port} is taken by another program; stop it or set another port\n`,
  );
  expect(code).toBe(1);
});

test('it stops when the process that started it is gone', async () => {
  const { child, started } = start([]);
  await started;
  child.disconnect();
  // Node emits no `close` after a disconnect from this side.
  expect(await once(child, 'exit')).toEqual([0, null]);
});

test.each([
  ['throw', 'as asked'],
  ['reject', 'as asked'],
  ['cannot-start', 'netstatd-sample: the thing is missing; install it\n'],
])('%s: the cause is on stderr and the exit code is 1', async (behaviour, text) => {
  const { code, stderr } = await start(['--behaviour', behaviour]).end;
  expect(stderr).toContain(text);
  expect(code).toBe(1);
});

test('a stop that hangs is ended and admitted', async () => {
  const { child, started, end } = start(['--behaviour', 'hang-in-stop']);
  await started;
  child.kill('SIGTERM');
  const { code, stderr } = await end;
  expect(stderr).toContain('did not stop in time');
  expect(code).toBe(1);
});
