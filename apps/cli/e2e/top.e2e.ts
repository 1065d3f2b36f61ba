import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeOn, startUp, upProgram, waitFor, WHOLE_CHAIN } from '@netstatd/testkit';
import type { Up } from '@netstatd/testkit';

/** `netstatd top` on what runs here, in a pipe and in a real pseudo-terminal (that of script(1)). */

const dir = mkdtempSync(join(tmpdir(), 'netstatd-top-'));
/** What a process may call itself. */
const HOSTILE = '\u001b[2J\u001b]0;x';
let up: Up;
let server: Server;
const cleanups: (() => unknown)[] = [];

const url = () => up.url('/conntrack').href.replace(/^http/, 'ws');
const port = () => (server.address() as AddressInfo).port;

/** `top` as the foreground of a terminal of 80 columns and 24 rows. */
async function inTerminal(env: Record<string, string> = {}) {
  const pidFile = join(dir, 'pid');
  rmSync(pidFile, { force: true });
  const quoted = [process.execPath, upProgram, 'top', '--url', url()]
    .map((a) => `'${a}'`)
    .join(' ');
  const command = `stty cols 80 rows 24; echo $$ > '${pidFile}'; exec ${quoted}`;
  const child = spawn('script', ['-qfec', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, TERM: 'xterm', ...env },
  });
  cleanups.push(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit') as Promise<[number | null]>;
  let seen = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (seen += text));
  await waitFor('the first table', () => seen.includes('PROCESS'));
  const pid = Number(readFileSync(pidFile, 'utf8'));
  return {
    pid,
    ended,
    type: (keys: string) => child.stdin.write(keys),
    /** Waits for text in what is written from here on. */
    shows: async (text: string | RegExp) => {
      const from = seen.length;
      await waitFor(String(text), () => seen.slice(from).search(text) >= 0);
    },
    resize: (columns: number, rows: number) => {
      const terminal = readlinkSync(`/proc/${pid}/fd/0`);
      spawnSync('stty', ['-F', terminal, 'cols', String(columns), 'rows', String(rows)]);
    },
    all: () => seen,
    /** The last complete screen, as lines. */
    lines: () => {
      const frames = seen.split('\u001b[H');
      // eslint-disable-next-line no-control-regex -- the escapes that top itself writes
      return (frames.at(-2) ?? '').replace(/\u001b\[\d*[mJ]/g, '').split(/\r+\n/);
    },
  };
}

const LEAVE = '\u001b[?7h\u001b[?25h\u001b[?1049l';

describeOn(WHOLE_CHAIN, 'netstatd top', () => {
  beforeAll(async () => {
    up = await startUp();
    server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    // The kernel takes a process's name from its file.
    copyFileSync(process.execPath, join(dir, HOSTILE));
    const { port } = server.address() as AddressInfo;
    const child = spawn(join(dir, HOSTILE), ['-e', `require('net').connect(${port}, '127.0.0.1')`]);
    cleanups.push(() => child.kill('SIGKILL'));
    await once(server, 'connection');
  });
  afterAll(async () => {
    cleanups.forEach((cleanup) => cleanup());
    server.close();
    await up.stop();
    rmSync(dir, { recursive: true });
  });

  test('in a pipe it is printed once, plain, and names are harmless', () => {
    const args = ['top', '--url', url(), '--group', 'connection', '--port', String(port())];
    const { status, stdout, stderr } = spawnSync(process.execPath, [upProgram, ...args], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^PROCESS +PID +PROTO +DIR +LOCAL +REMOTE +STATE/);
    // Both ends are of this machine.
    expect(lines).toHaveLength(3);
    expect(stdout).toContain(`\\x1b[2J\\x1b]0;x`);
    expect(stdout).toContain(`127.0.0.1:${port()}`);
    expect(stdout).not.toMatch(/[^\P{C}\n]/u);
  });

  test('a reader that goes early is no failure, and no gateway is one', () => {
    const head = spawnSync('bash', [
      ...['-o', 'pipefail', '-c', `"$0" "$1" top --url "$2" --group connection | head -1`],
      ...[process.execPath, upProgram, url()],
    ]);
    expect(head.status).toBe(0);
    const args = ['top', '--once', '--url', `ws://127.0.0.1:1/conntrack`];
    const none = spawnSync(process.execPath, [upProgram, ...args], { encoding: 'utf8' });
    expect(none).toMatchObject({ status: 1, stdout: '' });
    expect(none.stderr).toMatch(/^netstatd: nothing from ws:.*start it by netstatd up/);
  });

  test('in a terminal it lives, takes keys, follows its size, and gives the terminal back', async () => {
    const terminal = await inTerminal();
    expect(terminal.all()).toContain('\u001b[?1049h');
    await terminal.shows(/lost events/);
    expect(terminal.lines().map((line) => line.length)).toEqual(Array(24).fill(80));
    terminal.type('/x1b');
    await terminal.shows('/x1b_');
    terminal.type('\r');
    await terminal.shows('1 rows');
    terminal.type('?');
    await terminal.shows('hold the table');
    terminal.type('?p');
    await terminal.shows('HELD');
    terminal.type('pg');
    await terminal.shows('PROGRAM');
    terminal.resize(30, 9);
    await terminal.shows(/lost events/);
    await terminal.shows(/lost events/);
    expect(terminal.lines().map((line) => line.length)).toEqual(Array(9).fill(30));
    terminal.resize(1, 1);
    terminal.resize(200, 50);
    await terminal.shows('CONN/S');
    terminal.type('q');
    expect(await terminal.ended).toEqual([0, null]);
    expect(terminal.all().endsWith(LEAVE)).toBe(true);
    // What a process calls itself never reached the terminal as it is.
    expect(terminal.all()).not.toContain(HOSTILE.slice(4));
    expect(terminal.all()).toContain('\\x1b[2J');
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    '%s gives the terminal back',
    async (signal) => {
      const terminal = await inTerminal();
      process.kill(terminal.pid, signal);
      expect(await terminal.ended).toEqual([0, null]);
      expect(terminal.all()).toContain(LEAVE);
    },
  );

  test('so does Ctrl+C, and a crash, whose reason is then to be read', async () => {
    const interrupted = await inTerminal();
    interrupted.type('\u0003');
    expect(await interrupted.ended).toEqual([0, null]);
    expect(interrupted.all().endsWith(LEAVE)).toBe(true);

    const boom = join(dir, 'boom.js');
    writeFileSync(boom, `setTimeout(() => { throw new Error('boom'); }, 1500);`);
    const crashed = await inTerminal({ NODE_OPTIONS: `--require ${boom}` });
    expect((await crashed.ended)[0]).toBe(1);
    expect(crashed.all()).toMatch(/\[\?1049l.*Error: boom/s);
  });
});
