import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * What `netstatd up` does for its services, whatever they do: with services of a few lines, so that
 * each can be made to fail in its own way. The bus is real.
 */
const built = join(__dirname, '..', '..', '..', 'dist', 'cli', 'main.js');
const dir = mkdtempSync(join(tmpdir(), 'netstatd-up-'));
const stateDir = join(dir, 'state');
const cleanups: (() => unknown)[] = [];

const speak = `
  const ports = process.argv.filter((a) => a.includes('-port=')).map((a) => Number(a.split('=')[1]));
  const [first, second] = ports;
  process.send({ netstatd: 'ports', ports: second ? { node: first, cluster: second } : { health: first } });
  process.send({ netstatd: 'ready', ready: true, reasons: {} });`;
const good = `${speak}
  process.on('SIGTERM', () => process.exit(0));
  process.on('disconnect', () => process.exit(0));
  setInterval(() => 0, 1000);`;

function install(name: string, source: string): void {
  mkdirSync(join(dir, 'dist', name), { recursive: true });
  writeFileSync(join(dir, 'dist', name, 'main.js'), source);
}

beforeEach(() => {
  for (const name of ['cli', 'collector', 'enricher', 'gateway']) install(name, good);
  for (const file of ['capture.node', 'netstatd.bpf.o']) {
    writeFileSync(join(dir, 'dist', 'collector', file), '');
  }
  copyFileSync(built, join(dir, 'dist', 'cli', 'main.js'));
});
afterEach(() => {
  cleanups.splice(0).forEach((cleanup) => cleanup());
  rmSync(stateDir, { recursive: true, force: true });
});
afterAll(() => rmSync(dir, { recursive: true }));

function up(...flags: string[]) {
  const ports = ['gateway', 'cluster', 'collector', 'enricher'].map((name) => `--${name}-port=0`);
  const args = [join(dir, 'dist', 'cli', 'main.js'), 'up', '--state-dir', stateDir, ...ports];
  const child = spawn(process.execPath, [...args, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
  cleanups.push(() => child.kill('SIGKILL'));
  const seen = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (seen.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (seen.stderr += text));
  const until = async (condition: () => boolean) => {
    while (!condition()) {
      if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}: ${seen.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  return { child, seen, until, ended: once(child, 'close') };
}

const pids = () =>
  (
    JSON.parse(readFileSync(join(stateDir, 'endpoints.json'), 'utf8')) as {
      pids: Record<string, number>;
    }
  ).pids;
const alive = (all: Record<string, number>) =>
  Object.keys(all).filter((name) => existsSync(`/proc/${all[name] ?? 0}`));

test('one Ctrl+C ends everything in order, and only logs stay', async () => {
  const { child, seen, until, ended } = up();
  await until(() => seen.stdout.includes('Ctrl+C'));
  expect(seen.stdout).toMatch(/^netstatd is ready: http:\/\/127\.0\.0\.1:\d+\/\n/);
  const running = pids();
  expect(alive(running)).toEqual(['up', 'nats', 'enricher', 'gateway', 'collector']);
  // As npm and the terminal deliver it: twice.
  child.kill('SIGINT');
  child.kill('SIGINT');
  expect(await ended).toEqual([0, null]);
  expect(alive(running)).toEqual([]);
  expect(readdirSync(stateDir).filter((name) => !name.startsWith('nats.log'))).toEqual(['logs']);
});

test('what dies is started again, the bus at its old place', async () => {
  const { child, seen, until, ended } = up();
  await until(() => seen.stdout.includes('Ctrl+C'));
  const before = pids();
  for (const name of ['collector', 'nats']) {
    process.kill(before[name] ?? 0, 'SIGKILL');
    await until(() => (pids()[name] ?? before[name]) !== before[name]);
  }
  expect(seen.stderr).toMatch(/collector +ended \(SIGKILL\); starting it again in \d+ ms/);
  expect(seen.stderr).toMatch(/bus +nats-server ended; starting it again in \d+ ms/);
  const { enricher, gateway } = pids();
  expect([enricher, gateway]).toEqual([before.enricher, before.gateway]);
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});

test('kill -9 leaves no process, and the next start is not hindered', async () => {
  install('gateway', `${speak} process.on('SIGTERM', () => 0); setInterval(() => 0, 1000);`);
  const first = up();
  await first.until(() => first.seen.stdout.includes('Ctrl+C'));
  const running = pids();
  first.child.kill('SIGKILL');
  await first.ended;
  while (alive(running).length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  const second = up();
  await second.until(() => second.seen.stdout.includes('Ctrl+C'));
  const third = up();
  expect(await third.ended).toEqual([1, null]);
  expect(third.seen.stderr).toMatch(
    /^netstatd: netstatd up is running already \(pid \d+\) with .*\n$/,
  );
  second.child.kill('SIGTERM');
  expect(await second.ended).toEqual([0, null]);
}, 30_000);

test('a second Ctrl+C does not wait for what does not stop', async () => {
  install('gateway', `${speak} process.on('SIGTERM', () => 0); setInterval(() => 0, 1000);`);
  const { child, seen, until, ended } = up();
  await until(() => seen.stdout.includes('Ctrl+C'));
  const running = pids();
  child.kill('SIGINT');
  await until(() => seen.stderr.includes('stopping'));
  const again = setInterval(() => child.kill('SIGINT'), 500);
  expect(await ended).toEqual([130, null]);
  clearInterval(again);
  while (alive(running).length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('a service that refuses its settings, or never starts, ends it with the reason', async () => {
  install(
    'collector',
    `console.error('netstatd-collector: --x: "y" is not allowed'); process.exit(2)`,
  );
  const refused = up();
  expect(await refused.ended).toEqual([2, null]);
  expect(refused.seen.stderr).toContain('collector  netstatd-collector: --x: "y" is not allowed\n');
  install(
    'collector',
    `console.error('{"level":"fatal","msg":"no \\\\u001b[2J luck"}'); process.exit(1)`,
  );
  const failing = up();
  expect(await failing.ended).toEqual([1, null]);
  expect(failing.seen.stderr).toContain('fatal: no \\x1b[2J luck');
  expect(failing.seen.stderr).toMatch(
    /failed 3 times to start \(exit code 1\), see above; giving up/,
  );
}, 30_000);
