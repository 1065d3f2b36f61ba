import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { onLines } from './lines.ts';
import { LogFile } from './log-file.ts';
import { shortLine } from './log-line.ts';
import { StateDir } from './state-dir.ts';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'netstatd-cli-'))));
afterEach(() => rmSync(dir, { recursive: true }));

test('a state directory has one holder, and a dead one holds nothing', () => {
  const path = join(dir, 'state');
  const held = new StateDir(path);
  expect(statSync(path).mode & 0o777).toBe(0o700);
  expect(() => new StateDir(path)).toThrow(
    /running already \(pid \d+\) with .*another --state-dir/,
  );
  held.writeEndpoints({ nats: 'x', pids: {} } as never);
  expect(JSON.parse(readFileSync(join(path, 'endpoints.json'), 'utf8'))).toEqual({
    nats: 'x',
    pids: {},
  });
  held.release();
  expect(existsSync(join(path, 'endpoints.json'))).toBe(false);
  // The pid of somebody who came later, and the pid of nobody.
  for (const text of [`${process.pid} 1`, '4194304 1', '', 'x\n']) {
    writeFileSync(join(path, 'up.pid'), text);
    new StateDir(path).release();
  }
});

test('a directory of somebody else, or that cannot be, is refused', () => {
  writeFileSync(join(dir, 'file'), '');
  expect(() => new StateDir(join(dir, 'file'))).toThrow(/cannot make .*choose another --state-dir/);
  if (process.getuid?.() === 0) {
    spawnSync('chown', ['65534', dir]);
    expect(() => new StateDir(dir)).toThrow(/is not this user's directory/);
  }
});

test('a log keeps its size, with one older file', () => {
  const path = join(dir, 'a.log');
  const log = new LogFile(path, fail, 100);
  for (let i = 0; i < 50; i++) log.write(`line ${i}`);
  log.close();
  const both = readFileSync(`${path}.1`, 'utf8') + readFileSync(path, 'utf8');
  expect(both.trimEnd().split('\n').at(-1)).toBe('line 49');
  expect(both.length).toBeLessThan(250);
  const again = new LogFile(path, fail, 1000);
  again.write('more');
  again.close();
  expect(readFileSync(path, 'utf8')).toMatch(/line 49\nmore\n$/);
});

test('a log that cannot be written says so once', () => {
  const trouble = jest.fn();
  const log = new LogFile(join(dir, 'missing', 'a.log'), trouble);
  log.write('a');
  log.write('b');
  expect(trouble).toHaveBeenCalledTimes(1);
});

test.each([
  ['{"level":"warn","time":"t","service":"x","a":1,"msg":"hm"}', true, 'warn: hm a=1'],
  ['{"level":"info","msg":"fine"}', false, 'fine'],
  [
    '{"level":"fatal","error":{"type":"E","message":"no"},"msg":"failed"}',
    true,
    'fatal: failed error=no',
  ],
  ['netstatd-x: plain', true, 'netstatd-x: plain'],
  ['{"level":"error","msg":"\\u001b[2J","comm":"a\\nb"}', true, 'error: \\x1b[2J comm=a\\x0ab'],
  ['\u001b]0;x\u0007', true, '\\x1b]0;x\\x07'],
  ['null', true, 'null'],
])('%s is shown as a person reads it', (line, important, text) => {
  expect(shortLine(line)).toEqual({ important, text });
});

test('lines come whole, whatever the chunks, and long ones are cut', async () => {
  const stream = new PassThrough();
  const lines: string[] = [];
  onLines(stream, (line) => lines.push(line));
  for (const chunk of ['a', 'b\nc', '\n\n', 'é\nx', 'y'.repeat(200_000), 'z\nlast'])
    stream.write(chunk);
  stream.end();
  await new Promise((resolve) => stream.once('end', resolve));
  expect(lines.map((line) => line.slice(0, 10))).toEqual(['ab', 'c', 'é', 'xyyyyyyyyy', 'last']);
  expect(lines.every((line) => line.length <= 65_536)).toBe(true);
});

function fail(error: Error): void {
  throw error;
}
