import { buildSync } from 'esbuild';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServiceProcess } from './service-process.ts';
import type { ServiceProcessOptions } from './service-process.ts';

// Processes are started here, and the machine may be busy.
jest.setTimeout(30_000);

const dir = mkdtempSync(join(tmpdir(), 'netstatd-cli-'));
const running: ServiceProcess[] = [];
afterAll(() => rmSync(dir, { recursive: true }));
afterEach(() => running.splice(0).forEach((service) => service.kill()));

/** A program in one line of JavaScript. */
function program(name: string, source: string): string {
  const path = join(dir, `${name}.js`);
  writeFileSync(path, source);
  return path;
}

const ready = `process.send({netstatd:'ready', ready:true, reasons:{}});`;
const stay = `setInterval(() => 0, 1000);`;

function start(path: string, options: Partial<ServiceProcessOptions> = {}) {
  const seen = { lines: [] as string[], deaths: [] as string[] };
  let notify: (change?: unknown) => unknown = () => undefined;
  const service = new ServiceProcess({
    name: 'tiny',
    program: path,
    args: [],
    onLine: (line) => notify(seen.lines.push(line)),
    onChange: () => notify(),
    onDeath: ({ how }) => notify(seen.deaths.push(how)),
    backoff: { baseMs: 1, maxMs: 1 },
    ...options,
  });
  running.push(service);
  /** Resolves once `condition` holds. */
  const until = (condition: () => boolean) =>
    new Promise<void>((resolve) => {
      notify = () => condition() && resolve();
      notify();
    });
  service.start({ PATH: process.env.PATH, GREETING: 'hello' });
  return { service, seen, until };
}

const alive = (pid: number | undefined) => pid !== undefined && existsSync(`/proc/${pid}`);

test('ports, readiness and lines of both outputs are heard', async () => {
  const path = program(
    'speaks',
    `process.send({netstatd:'ports', ports:{health:7}}); console.log(process.env.GREETING);
     console.error('there'); ${ready} ${stay}`,
  );
  const { service, seen, until } = start(path);
  await until(() => service.ready && seen.lines.length === 2);
  expect(service.ports).toEqual({ health: 7 });
  expect(seen.lines.sort()).toEqual(['hello', 'there']);
  const { pid } = service;
  await service.stop();
  expect([alive(pid), seen.deaths]).toEqual([false, []]);
});

test('a dead one is started again, however it died', async () => {
  const { service, seen, until } = start(program('stays', `${ready} ${stay}`));
  await until(() => service.ready);
  process.kill(service.pid ?? 0, 'SIGKILL');
  await until(() => seen.deaths.length === 1);
  await until(() => service.ready);
  expect(seen.deaths).toEqual(['SIGKILL']);
  const fails = start(program('fails', 'process.exit(3)'));
  await fails.until(() => fails.seen.deaths.length === 3);
  expect([fails.seen.deaths[0], fails.service.everReady]).toEqual(['exit code 3', false]);
});

test('a program that is not there is a death, too', async () => {
  const { seen, until } = start(join(dir, 'missing.js'));
  await until(() => seen.deaths.length > 0);
  expect(seen.lines.join()).toContain('Cannot find module');
});

test('stop ends one that waits to be started again', async () => {
  const { service, seen, until } = start(program('fails', 'process.exit(3)'), {
    backoff: { baseMs: 1e6, maxMs: 1e6 },
  });
  await until(() => seen.deaths.length === 1);
  await service.stop();
  expect(service.pid).toBeUndefined();
});

test('it ends with this process, even when that is killed and it is stubborn', async () => {
  const stubborn = program('stubborn', `process.on('SIGTERM', () => 0); ${ready} ${stay}`);
  const parent = join(dir, 'parent.js');
  buildSync({
    stdin: {
      contents: `import { ServiceProcess } from './service-process.ts';
        const s = new ServiceProcess({ name: 'x', program: ${JSON.stringify(stubborn)}, args: [],
          onLine: () => 0, onDeath: () => 0, onChange: () => s?.ready && console.log(s.pid) });
        s.start(process.env);`,
      resolveDir: __dirname,
      loader: 'ts',
    },
    outfile: parent,
    bundle: true,
    platform: 'node',
  });
  const child = spawn(process.execPath, [parent], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  expect(alive(pid)).toBe(true);
  child.kill('SIGKILL');
  await once(child, 'exit');
  // The kernel sends the signal as the parent ends; the child is gone as soon as it is scheduled.
  while (alive(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
});
