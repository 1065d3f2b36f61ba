import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  CleanRoom,
  describeOn,
  grown,
  Up,
  upProgram,
  waitFor,
  WHOLE_CHAIN,
} from '@netstatd/testkit';

interface Report {
  verdict: string;
  exitCode: number;
  summary: string;
  gaps: string[];
  up: { starts: boolean; source?: string };
  capture?: Record<string, string>;
  captureError?: { code: string; message: string };
  hooks: Hook[];
  checks: { group: string; subject: string; state: string; text: string }[];
}

interface Hook {
  name: string;
  section: string;
  state: string;
  reason?: string;
  standIn?: string;
}

// Where anybody may read it, wherever the workspace is.
const dist = mkdtempSync(join(tmpdir(), 'netstatd-dist-'));
const program = join(dist, 'cli', 'main.js');
afterAll(() => rmSync(dist, { recursive: true }));

/** What the addon itself does here, without any of our TypeScript: its hooks, or its refusal. */
const OPEN = `
  const addon = require('${join(dist, 'collector', 'capture.node')}');
  const options = { loopback: true, udp: true, ringBytes: 1 << 20, flowIdleMs: 1000, flowTableSize: 64 };
  try {
    const handle = addon.open({ objectPath: '${join(dist, 'collector', 'netstatd.bpf.o')}', ...options });
    console.log(JSON.stringify({ hooks: addon.hooks(handle) }));
    addon.close(handle);
  } catch ({ code }) {
    console.log(JSON.stringify({ code }));
  }`;

/** Runs a program of Node's, in the place that `prefix` leads to. */
function node(prefix: string[], args: string[], env: Record<string, string> = {}) {
  const [command = '', ...rest] = [...prefix, process.execPath, ...args];
  const { status, stdout, stderr } = spawnSync(command, rest, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}

function examine(prefix: string[], env: Record<string, string> = {}): Report {
  const { status, stdout, stderr } = node(prefix, [program, 'doctor', '--json'], env);
  expect(stderr).toBe('');
  const report = JSON.parse(stdout) as Report;
  expect(report.exitCode).toBe(status);
  return report;
}

const opened = (prefix: string[]) =>
  JSON.parse(node(prefix, ['-e', OPEN]).stdout) as { hooks: Hook[] } | { code: string };

/** The report's hooks are what the addon's are, reason for reason. */
function expectTheSame(report: Report, { hooks }: { hooks: Hook[] }) {
  const essence = ({ name, section, state, reason }: Hook) => ({ name, section, state, reason });
  expect(report.hooks.map(essence)).toEqual(hooks.map(essence));
}

/** In a mount namespace that the lines of a script have changed. */
const after = (...lines: string[]) => [
  ...['unshare', '--mount', '--propagation=private', 'sh', '-c'],
  ['set -e', ...lines, 'exec "$0" "$@"'].join('\n'),
];

interface Status {
  nodes: { services: { service: string; capture?: Record<string, string> }[] }[];
}

/** Starts everything there and returns what the collector says it captures by. */
async function inUse(prefix: string[], env: Record<string, string> = {}) {
  const up = await (await Up.start({ prefix, env, flags: ['--source', 'auto'] })).ready();
  try {
    const { nodes } = (await up.get('/api/status')) as Status;
    return nodes[0]?.services.find(({ service }) => service === 'collector')?.capture;
  } finally {
    await up.stop();
  }
}

const state = (report: Report, subject: string) =>
  report.checks.find((check) => check.subject === subject)?.state;

describeOn(WHOLE_CHAIN, 'netstatd doctor (Z09)', () => {
  beforeAll(() => {
    cpSync(dirname(dirname(upProgram)), dist, { recursive: true });
    chmodSync(dist, 0o755);
  });

  it('says of this machine what then happens', async () => {
    const report = examine([]);
    const capture = opened([]);
    if (!('hooks' in capture)) throw new Error(capture.code);
    expectTheSame(report, capture);
    const missing = capture.hooks.filter(({ state }) => /unsupported|failed/.test(state));
    expect([report.verdict, report.exitCode]).toEqual(
      missing.length > 0 ? ['partial', 3] : ['full', 0],
    );
    expect(report.up.source).toBe('bpf');
    expect([state(report, 'capabilities'), state(report, 'BTF')]).toEqual(['ok', 'ok']);
    expect(await inUse([])).toEqual({ source: 'bpf', ...report.capture });
  });

  it('says that an ordinary user may not use BPF, as is so', () => {
    const nobody = [
      ...['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'],
      ...['--bounding-set=-all', '--inh-caps=-all', '--'],
    ];
    const report = examine(nobody);
    expect(opened(nobody)).toEqual({ code: 'NO_RIGHTS' });
    expect(report.captureError?.code).toBe('NO_RIGHTS');
    expect(report.captureError?.message.match(/root/g)).toHaveLength(1);
    expect(report.hooks).toEqual([]);
    expect(report.up.source).not.toBe('bpf');
    expect([3, 4]).toContain(report.exitCode);
    expect(report.summary).toMatch(/CAP_BPF/);
    expect(state(report, 'capabilities')).toBe('fail');
  });

  it('names what is missing where no cgroup v2 is mounted, as is so', async () => {
    const without = after(`for at in $(findmnt -rno TARGET -t cgroup2); do umount -l "$at"; done`);
    const report = examine(without);
    const capture = opened(without);
    if (!('hooks' in capture)) throw new Error(capture.code);
    expectTheSame(report, capture);
    expect([report.verdict, report.exitCode]).toEqual(['partial', 3]);
    expect(report.gaps).toContain('UDP flows');
    expect(report.summary).toMatch(/^partial capture is possible: without .*UDP flows/);
    expect(state(report, 'version')).toBe('ok');
    expect(await inUse(without)).toEqual({ source: 'bpf', ...report.capture });
  });

  it('names what stands in for hooks that are kept away, and what is missing, as is so', async () => {
    const env = { NETSTATD_WITHOUT: 'tcp_accept4,tcp_accept,tcp_accept_ring' };
    const report = examine([], env);
    expect([report.verdict, report.exitCode]).toEqual(['partial', 3]);
    expect(report.gaps).toEqual(['owners of connections accepted through io_uring']);
    expect(report.hooks.filter(({ state }) => state === 'off')).toMatchObject([
      { name: 'tcp_accept4', standIn: 'syscall_exit' },
      { name: 'tcp_accept', standIn: 'syscall_exit' },
      { name: 'tcp_accept_ring', reason: 'left out by --without' },
    ]);
    expect(report.capture).toMatchObject({
      accept: 'tp_btf/sys_exit',
      uringAccept: 'off: left out by --without',
    });
    expect(await inUse([], env)).toEqual({ source: 'bpf', ...report.capture });
  });

  it('says that nothing can be captured without type information and /proc, as is so', () => {
    const blind = after('mount -t tmpfs none /sys/kernel/btf', 'mount -t tmpfs none /proc');
    const report = examine(blind);
    expect(opened(blind)).toEqual({ code: 'NO_BTF' });
    expect([report.verdict, report.exitCode]).toEqual(['none', 4]);
    expect(report.up.starts).toBe(false);
    expect(report.summary).toMatch(/^no capture is possible: .*btf.*CONFIG_DEBUG_INFO_BTF/);
  });

  it('says so where there is no kernel that may be asked: in a user namespace', () => {
    const inside = ['unshare', '--user', '--map-root-user', '--'];
    const report = examine(inside);
    expect(opened(inside)).toEqual({ code: report.captureError?.code });
    expect(report.up.source).not.toBe('bpf');
    expect(state(report, 'user namespace')).toBe('warn');
  });

  it('changes nothing and leaves nothing behind', async () => {
    const room = await CleanRoom.open();
    try {
      const before = room.look([5280, 6280, 5281, 5282]);
      const { prefix, program: inside, env } = room.entry;
      const { status, stdout } = node(prefix, [inside, 'doctor'], env);
      expect([0, 3]).toContain(status);
      expect(stdout).toMatch(/capture is possible/);
      const left = () => grown(before, room.look([5280, 6280, 5281, 5282]));
      // The kernel frees what a process has held a moment after it has ended.
      await waitFor('nothing to be left', () => left().length === 0);
    } finally {
      room.close();
    }
  });

  it('is for people as well, without an escape in a pipe', () => {
    const { stdout } = node([], [upProgram, 'doctor']);
    expect(stdout).not.toMatch(/[^\P{C}\n]/u);
    for (const title of ['Kernel', 'Rights', 'Control groups', 'Bus', 'Ports', 'Machine', 'Hooks'])
      expect(stdout).toMatch(new RegExp(`^${title}$`, 'm'));
    const { status } = node([], [upProgram, 'doctor', '--jsn']);
    expect(status).toBe(2);
  });
});
