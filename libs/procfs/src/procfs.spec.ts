import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FILE_LIMIT_BYTES, readBounded } from './bounded-file.ts';
import { CgroupIndex } from './cgroup-index.ts';
import { hostAddresses } from './host-addresses.ts';
import { ProcFs } from './procfs.ts';

const procfs = new ProcFs();
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'netstatd-procfs-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function running(name: string, body: (child: ChildProcess) => void): Promise<void> {
  const path = join(directory, name);
  copyFileSync('/bin/sleep', path);
  chmodSync(path, 0o755);
  const child = spawn(path, ['60'], { stdio: 'ignore' });
  await once(child, 'spawn');
  try {
    body(child);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

test('this process is read whole', () => {
  const self = procfs.readProcess(process.pid);
  expect(self).toMatchObject({
    pid: process.pid,
    ppid: process.ppid,
    exe: process.execPath,
    uid: process.getuid?.(),
  });
  expect(procfs.readCgroups(process.pid, self?.startTicks ?? 0)).toEqual(self?.cgroupPaths);
  expect(procfs.readCgroups(process.pid, 1)).toBeUndefined();
  expect(self?.netns).toBe(procfs.netnsOf('self'));
  expect(self?.startTicks).toBeGreaterThan(0);
  expect([...procfs.processes()]).toContain(process.pid);
  expect(procfs.hostNetns()).toBeGreaterThan(0);
  expect(procfs.bootId()).toMatch(/^[0-9a-f-]{36}$/);
  expect(procfs.kernelRelease()).toMatch(/^\d+\./);
});

test('a hostile name and a deleted executable', async () => {
  await running(') 1 (\n x', (child) => {
    const pid = child.pid ?? 0;
    expect(procfs.readProcess(pid)?.comm).toBe(') 1 (\n x');
    rmSync(join(directory, ') 1 (\n x'));
    expect(procfs.readProcess(pid)?.exe).toBe(join(directory, ') 1 (\n x'));
  });
});

test('a file that is really called "(deleted)" keeps its name', async () => {
  await running('x (deleted)', (child) => {
    expect(procfs.readProcess(child.pid ?? 0)?.exe).toBe(join(directory, 'x (deleted)'));
  });
});

test('what is not there is undefined', async () => {
  expect(procfs.readProcess(0)).toBeUndefined();
  expect(new ProcFs(join(directory, 'nothing')).readProcess(1)).toBeUndefined();
  expect([...new ProcFs(join(directory, 'nothing')).processes()]).toEqual([]);
  let pid = 0;
  await running('gone', (child) => (pid = child.pid ?? 0));
  expect(procfs.readProcess(pid)).toBeUndefined();
});

test('a long file is cut at the bound', () => {
  const path = join(directory, 'long');
  writeFileSync(path, Buffer.alloc(FILE_LIMIT_BYTES + 10));
  expect(readBounded(path)?.length).toBe(FILE_LIMIT_BYTES);
});

test('addresses of the host hold loopback and no scope', () => {
  expect(hostAddresses()).toContain('127.0.0.1');
  for (const address of hostAddresses()) expect(address).not.toContain('%');
});

test('the cgroup index scans on a miss, at a bounded rate, and learns and forgets', () => {
  const root = join(directory, 'tree');
  mkdirSync(join(root, 'a', 'b'), { recursive: true });
  let now = 0;
  const index = new CgroupIndex(root, () => now);
  expect(index.pathOf(statSync(join(root, 'a', 'b')).ino)).toBe('/a/b');
  expect(index.pathOf(statSync(root).ino)).toBe('/');
  mkdirSync(join(root, 'late'));
  const late = statSync(join(root, 'late')).ino;
  expect(index.pathOf(late)).toBeUndefined();
  now += 1000;
  expect(index.pathOf(late)).toBe('/late');
  index.forget(late);
  expect(index.pathOf(late)).toBeUndefined();
  rmSync(join(root, 'a', 'b'), { recursive: true });
  index.rescan();
  expect(index.size).toBe(3);
  index.learn(late, '/told');
  expect(index.pathOf(late)).toBe('/told');
  expect(new CgroupIndex(join(directory, 'nothing')).pathOf(1)).toBeUndefined();
  expect(index.idOf('/a')).toBe(statSync(join(root, 'a')).ino);
  expect([index.idOf('/none'), index.idOf('/../tree')]).toEqual([undefined, undefined]);
  expect([...index.entries()].map(([, path]) => path)).toEqual(['/', '/a', '/late']);
  const told = new CgroupIndex(null);
  told.learn(7, '/told');
  told.rescan();
  expect([told.pathOf(7), told.pathOf(8), told.idOf('/')]).toEqual(['/told', undefined, undefined]);
});

test('the real hierarchy has a root', () => {
  expect(new CgroupIndex().pathOf(1)).toBe('/');
});
