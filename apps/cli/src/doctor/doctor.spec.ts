import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { loadSettings } from '@netstatd/service';
import { upSettings } from '../up/settings.ts';
import { reportOf } from './doctor.ts';
import { gapsOf, reportHooks } from './hooks.ts';
import { cgroupChecks, kernelChecks } from './kernel.ts';
import { busChecks, machineChecks } from './machine.ts';
import { listeners, portChecks } from './ports.ts';
import { probeCapture } from './probe.ts';
import { reportSchema } from './report.ts';
import type { Check } from './report.ts';
import { reportText } from './report-text.ts';
import { capabilityNames, rightsChecks } from './rights.ts';
import { runtimeChecks } from './runtimes.ts';
import { System } from './system.ts';

// Processes are started here, and the machine may be busy.
jest.setTimeout(30_000);

const dir = mkdtempSync(join(tmpdir(), 'netstatd-doctor-'));
afterAll(() => rmSync(dir, { recursive: true }));

/** Another machine: files below a root of its own. */
let count = 0;
function machine(files: Record<string, string>, links: Record<string, string> = {}): System {
  const root = join(dir, String(count++));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `${text}\n`);
  }
  for (const [path, target] of Object.entries(links)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    symlinkSync(target, join(root, path));
  }
  return new System(root);
}

const settings = (args: string[] = []) => loadSettings(upSettings, args, {});
const states = (checks: Check[]) =>
  Object.fromEntries(checks.map(({ subject, state }) => [subject, state]));
const texts = (checks: Check[]) => checks.map(({ text }) => text).join('\n');

test('a kernel that has everything, one that is locked, and one that tells nothing', () => {
  const good = {
    '/proc/sys/kernel/osrelease': '6.12.1',
    '/sys/kernel/btf/vmlinux': 'x'.repeat(999_999),
    '/sys/kernel/security/lockdown': 'none [integrity] confidentiality',
    '/proc/sys/kernel/unprivileged_bpf_disabled': '2',
    '/proc/sys/net/core/bpf_jit_enable': '1',
  };
  expect(states(kernelChecks(machine(good)))).toEqual({
    version: 'ok',
    BTF: 'ok',
    lockdown: 'ok',
    'unprivileged BPF': 'note',
    'BPF compiler': 'ok',
  });
  const locked = machine({
    ...good,
    '/sys/kernel/security/lockdown': 'none integrity [confidentiality]',
    '/proc/sys/net/core/bpf_jit_enable': '0',
  });
  expect(states(kernelChecks(locked))).toMatchObject({ lockdown: 'fail', 'BPF compiler': 'warn' });
  expect(states(kernelChecks(machine({})))).toMatchObject({ version: 'warn', BTF: 'fail' });
});

test.each([
  ['29 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw', 'ok', 'v2 at /sys/fs/cgroup'],
  ['29 20 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu', 'warn', 'v1 only'],
  ['', 'warn', 'none is mounted'],
  [
    '1 2 0:1 / /c/cpu rw - cgroup cgroup rw,cpu\n3 2 0:2 / /c/unified rw - cgroup2 none rw',
    'ok',
    'v1 and v2, v2 at /c/unified',
  ],
])('control groups %j', (mountinfo, state, text) => {
  const checks = cgroupChecks(machine({ '/proc/self/mountinfo': mountinfo }));
  expect(checks).toMatchObject([{ state, text }]);
});

const ALL = '000001ffffffffff';
test.each([
  ['0', ALL, 'ok', /^root with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN/],
  ['1000', '0000000000000000', 'fail', /^user 1000, without CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN$/],
  ['1000', 'c000001000', 'warn', /^user 1000, without CAP_SYS_PTRACE$/],
  ['1000', 'c000081000', 'ok', /^user 1000 with CAP_BPF/],
  ['0', '0000000000201000', 'ok', /^root with CAP_NET_ADMIN, CAP_SYS_ADMIN$/],
  ['0', '0000000000200000', 'fail', /^root, without CAP_NET_ADMIN$/],
])('user %s with capabilities %s', (uid, set, state, text) => {
  const status = `Name:\tx\nUid:\t${uid}\t${uid}\nCapEff:\t${set}\nSeccomp:\t2`;
  const limits = 'Max open files            64                   4096                 files';
  const checks = rightsChecks(
    machine({ '/proc/self/status': status, '/proc/self/limits': limits }),
  );
  expect(checks[0]).toMatchObject({ state, text: expect.stringMatching(text) as unknown });
  expect(states(checks)).toMatchObject({ seccomp: 'note', 'open files': 'fail' });
});

test('capabilities by name, and namespaces that are not the first', () => {
  expect(capabilityNames('0000000000000003')).toEqual(['CAP_CHOWN', 'CAP_DAC_OVERRIDE']);
  expect(capabilityNames(ALL)).toHaveLength(41);
  expect(capabilityNames('nonsense')).toEqual([]);
  const inside = { '/proc/self/ns/user': 'user:[4026532000]', '/proc/self/ns/pid': 'pid:[1]' };
  expect(states(rightsChecks(machine({}, inside)))).toMatchObject({
    'user namespace': 'warn',
    'pid namespace': 'warn',
  });
});

test('container runtimes: none, one that answers, one that is left over', async () => {
  expect(texts(await runtimeChecks(machine({})))).toMatch(/^none found/);
  const system = machine({ '/run/docker.sock': '' });
  mkdirSync(system.path('/run/k3s/containerd'), { recursive: true });
  const server = createServer().listen(system.path('/run/k3s/containerd/containerd.sock'));
  await once(server, 'listening');
  const checks = await runtimeChecks(system, '/nowhere.sock');
  server.close();
  expect(states(checks)).toEqual({
    CONTAINERD_SOCKET: 'warn',
    'k3s or RKE2': 'ok',
    Docker: 'warn',
  });
  expect(texts(checks)).toContain('is left over: nobody listens');
});

test('ports: free, and by whom they are taken', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const system = new System();
  const checks = portChecks(
    system,
    settings([`--gateway-port=${port}`, '--cluster-port=0']),
    listeners(system),
  );
  server.close();
  expect(checks[0]).toMatchObject({ subject: String(port), state: 'warn' });
  expect(checks[0]?.text).toMatch(new RegExp(`^taken by pid ${process.pid}, .*node`));
  expect(checks[0]?.remedy).toContain('--gateway-port');
  expect(checks[1]).toMatchObject({ subject: 'any', state: 'ok' });
});

test('the bus: one that answers, one that is none, one that is away, no program', async () => {
  const greet = async (greeting: string) => {
    const server = createServer((socket) => socket.end(greeting)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const checks = await busChecks(settings([`--nats-url=nats://secret@127.0.0.1:${port}`]));
    server.close();
    return checks[0];
  };
  expect(await greet('INFO {"version":"2.9.10"}\r\n')).toMatchObject({ state: 'ok' });
  expect((await greet('SSH-2.0\r\n'))?.text).toMatch(/does not answer \(it is no NATS server\)$/);
  expect((await greet(''))?.text).toMatch(/it closes the connection/);
  const [away] = await busChecks(settings(['--nats-url=nats://secret@127.0.0.1:1']));
  expect(away?.text).toBe('127.0.0.1:1 does not answer (ECONNREFUSED)');
  const [none] = await busChecks(settings(['--nats-server=/nowhere/nats-server']));
  expect(none).toMatchObject({ state: 'fail', text: 'not installed' });
});

test('a state directory that may be written to, or not', async () => {
  const check = async (path: string) => {
    const checks = await machineChecks(new System(), settings([`--state-dir=${path}`]));
    return checks.find(({ subject }) => subject === 'state directory');
  };
  expect(await check(join(dir, 'not', 'yet'))).toMatchObject({
    text: expect.stringMatching(/, [\d.]+ GB free$/) as unknown,
  });
  // Not even root may write to /proc.
  expect((await check('/proc/netstatd'))?.state).not.toBe('ok');
});

describe('a probe', () => {
  const collector = (script: string) => {
    const dist = join(dir, `dist-${count++}`);
    mkdirSync(join(dist, 'collector'), { recursive: true });
    writeFileSync(join(dist, 'collector', 'main.js'), script);
    return dist;
  };
  const error = async (dist: string, timeoutMs?: number) => {
    const probe = await probeCapture(dist, timeoutMs);
    return 'error' in probe ? probe.error.message : 'none';
  };

  test('that answers', async () => {
    const probe = { hooks: [], kinds: { tcp: 'x' } };
    expect(await probeCapture(collector(`console.log('${JSON.stringify(probe)}')`))).toEqual(probe);
  });
  test('that crashes', async () => {
    expect(await error(collector(`process.kill(process.pid, 'SIGSEGV')`))).toMatch(
      /crashed \(SIGSEGV\)/,
    );
  });
  test('that lacks a library', async () => {
    const message = await error(
      collector(`throw new Error('libbpf.so.1: \\u001b[2J no such file')`),
    );
    expect(message).toMatch(/ended with 1: .*libbpf\.so\.1/);
    expect(message).not.toMatch(/\p{C}/u);
  });
  test('that hangs', async () => {
    const script = 'setInterval(() => {}, 1000)';
    expect(await error(collector(script), 500)).toMatch(/no answer within 0.5 s/);
  });
  test('that talks nonsense, without end', async () => {
    expect(await error(collector(`console.log('x'.repeat(5e6))`))).toMatch(/in another form/);
  });
  test('that is not built', async () => {
    expect(await error('/nowhere')).toMatch(/Cannot find module/);
  });
});

const hook = (name: string, section: string, reason?: string) => ({
  name,
  section,
  state: reason === undefined ? ('attached' as const) : ('unsupported' as const),
  ...(reason !== undefined && { reason }),
});

const place = { hasProcfs: true, wanted: 'auto' };

test('the verdict follows from what is attached', () => {
  const kinds = { tcp: 'tp_btf/inet_sock_set_state' };
  const state = hook('tcp_state', 'tp_btf/inet_sock_set_state');
  const full = reportOf({ hooks: [state], kinds }, [], [], place);
  expect(full).toMatchObject({ verdict: 'full', exitCode: 0, gaps: [], up: { source: 'bpf' } });

  const noV2 = 'no cgroup v2 hierarchy is mounted';
  const hooks = [
    state,
    hook('udp_egress', 'cgroup_skb/egress', noV2),
    hook('udp_ingress', 'cgroup_skb/ingress', noV2),
    { ...hook('udp_spare', 'fentry/udp_sendmsg'), state: 'off' as const },
  ];
  const partial = reportOf({ hooks, kinds }, [], [], place);
  expect(partial).toMatchObject({ verdict: 'partial', exitCode: 3, gaps: ['UDP flows'] });
  expect(partial.summary).toBe('partial capture is possible: without UDP flows');
  expect(partial.hooks[1]?.remedy).toMatch(/^mount -t cgroup2/);

  const error = { code: 'NO_RIGHTS', message: 'cannot capture: missing CAP_BPF; use sudo' };
  const none = reportOf({ error }, [], [], { hasProcfs: false, wanted: 'auto' });
  expect(none).toMatchObject({ verdict: 'none', exitCode: 4, up: { starts: false } });
  expect(none.summary).toBe('no capture is possible: missing CAP_BPF; use sudo');
  const polled = reportOf({ error }, [], [], place);
  expect(polled).toMatchObject({ verdict: 'partial', up: { starts: true, source: 'procfs' } });
  const up = (wanted: string) => reportOf({ error }, [], [], { ...place, wanted }).up;
  expect(up('bpf')).toEqual({ starts: false, obstacles: ['missing CAP_BPF; use sudo'] });
  expect(up('replay:/x')).toMatchObject({ starts: true, source: 'replay' });
  for (const report of [full, partial, none, polled]) {
    expect(reportSchema.parse(JSON.parse(JSON.stringify(report)))).toEqual(report);
  }
});

test('each reason has its remedy', () => {
  const remedies = reportHooks([
    hook('tcp_accept4', 'tp/syscalls/sys_exit_accept4', 'No such file or directory'),
    hook('tcp_state', 'tp_btf/x', 'Operation not permitted'),
    hook('udp_bind4', 'cgroup/bind4', 'Invalid argument'),
    hook('new_one', 'tp_btf/y', 'a\u001b[2J'),
  ]);
  expect(remedies.map(({ remedy }) => remedy)).toEqual([
    expect.stringContaining('CONFIG_FTRACE_SYSCALLS'),
    expect.stringContaining('security policy'),
    expect.stringContaining('CONFIG_CGROUP_BPF'),
    expect.stringContaining('newer kernel'),
  ]);
  expect(remedies[3]?.reason).toBe('a\\x1b[2J');
  expect(gapsOf(remedies)).toContain('more detail');
});

test('marks and colours are for a terminal, words for everything else', () => {
  const checks: Check[] = [
    {
      group: 'bus',
      subject: 'nats-server',
      state: 'fail',
      text: 'not installed',
      remedy: 'get it',
    },
  ];
  const report = reportOf(
    { hooks: [hook('tcp_state', 's')], kinds: {} },
    checks,
    ['no bus'],
    place,
  );
  const plain = reportText(report, false);
  expect(plain).toContain('  wrong nats-server  not installed\n');
  expect(plain).toContain('-> get it\n');
  expect(plain).toMatch(/\n {2}ok {4}tcp_state {4}s {2}attached: TCP connections and ports\n/);
  expect(plain).toContain('netstatd up would not start:\n  no bus\n');
  expect(plain).not.toMatch(/[^\P{C}\n]|[✓✗]/u);
  expect(reportText(report, true)).toContain('\u001b[31m✗\u001b[0m nats-server');
});

test('a table in another form lists nothing', () => {
  expect(listeners(machine({ '/proc/net/tcp': 'nonsense\n 1: x' }))).toEqual([]);
});
