import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SocketKind } from '@netstatd/records';
import { bpftool, describeOn, Lab, traffic, waitFor } from '@netstatd/testkit';
import { Capture } from './capture.ts';
import { built, Collected } from './collected.ts';
import type { CaptureError } from './errors.ts';

jest.setTimeout(60_000);

/** Ids of the programs, maps and links that a process holds, as `kind:id`. */
function heldBy(pid: number | 'self'): Set<string> {
  const ids = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
    try {
      const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
      const found = /^(prog|map|link)_id:\s*(\d+)$/m.exec(info);
      if (found) ids.add(`${found[1]}:${found[2]}`);
    } catch {
      // The descriptor of the directory itself is gone by now.
    }
  }
  return ids;
}

function inKernel(ids: Set<string>): string[] {
  const all = (['prog', 'map', 'link'] as const).flatMap((kind) =>
    bpftool(kind).map(({ id }) => `${kind}:${id}`),
  );
  return all.filter((id) => ids.has(id));
}

function codeOf(open: () => Capture): string | undefined {
  try {
    open().close();
    return undefined;
  } catch (error) {
    return (error as CaptureError).code;
  }
}

/** The addon in a plain Node process, without the TypeScript face. */
const script = `
  const addon = require(process.argv[1]);
  const options = { objectPath: process.argv[2], loopback: true, udp: true, ringBytes: 65536,
    flowIdleMs: 1000, flowTableSize: 64 };
  try {
    const handle = addon.open(options);
    addon.start(handle, () => {});
    console.log('open');
  } catch (error) {
    console.log(error.code, error.message);
  }
`;
const plain = ['-e', script, built.addonPath, built.objectPath];

describe('opening a capture', () => {
  it.each([
    ['ringBytes', 5000],
    ['ringBytes', 2048],
    ['flowIdleMs', 0],
    ['flowIdleMs', Number.NaN],
    ['flowTableSize', 1.5],
  ])('refuses %s = %d', (name, value) => {
    expect(() => Capture.open({ ...built, options: { [name]: value } })).toThrow(
      new RegExp(`^${name} must be .* not ${value}$`),
    );
  });

  it('says what to do without the addon', () => {
    const open = () => Capture.open({ ...built, addonPath: '/nowhere/capture.node' });
    expect(codeOf(open)).toBe('NO_ADDON');
    expect(open).toThrow(/^cannot capture: .*nowhere.*; build it .*$/);
  });
});

describeOn(['root', 'btf', 'bpf', 'netns', 'cgroup2', 'traffic'], 'a capture', () => {
  let lab: Lab;
  let collected: Collected | undefined;

  beforeAll(() => {
    lab = new Lab();
  });
  afterEach(() => {
    collected?.capture.close();
    collected = undefined;
  });
  afterAll(() => lab.close());

  it('says what to do without the object, or with a broken one', () => {
    const open = (objectPath: string) => () => Capture.open({ ...built, objectPath });
    expect(codeOf(open('/nowhere/x.o'))).toBe('NO_OBJECT');
    const directory = mkdtempSync(join(tmpdir(), 'netstatd-capture-'));
    const broken = join(directory, 'broken.o');
    writeFileSync(broken, 'no object');
    expect(codeOf(open(broken))).toBe('LOAD_FAILED');
    rmSync(directory, { recursive: true });
  });

  it('says what to do without rights', () => {
    // Copied: another user may not be allowed to read the workspace.
    const directory = mkdtempSync(join('/tmp', 'netstatd-capture-'));
    const [addon, object] = [join(directory, 'a.node'), join(directory, 'o.o')];
    copyFileSync(built.addonPath, addon);
    copyFileSync(built.objectPath, object);
    spawnSync('chmod', ['-R', 'a+rX', directory]);
    const nobody = ['--reuid', '65534', '--clear-groups', process.execPath, '-e', script];
    const { stdout } = spawnSync('setpriv', [...nobody, addon, object], { cwd: '/' });
    rmSync(directory, { recursive: true });
    expect(stdout.toString()).toMatch(/^NO_RIGHTS missing CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN\n$/);
  });

  it('tells what each program hangs on', () => {
    collected = new Collected([]);
    const { hooks } = collected.capture;
    expect(hooks.tcp_state).toEqual({
      name: 'tcp_state',
      section: 'tp_btf/inet_sock_set_state',
      state: 'attached',
    });
    for (const hook of Object.values(hooks))
      expect(/attached|spare/.test(hook.state) || (hook.reason ?? '').length > 0).toBe(true);
    expect(collected.capture.captureKinds()).toMatchObject({
      tcp: 'tp_btf/inet_sock_set_state',
      snapshot: 'iter/task_file',
    });
  });

  it('leaves nothing in the kernel after close, and can be closed twice', () => {
    const before = heldBy('self');
    collected = new Collected([]);
    collected.start();
    expect(() => collected?.start()).toThrow(/started before/);
    const held = heldBy('self');
    expect(inKernel(held).length).toBeGreaterThan(before.size + 10);
    const { capture } = collected;
    capture.close();
    capture.close();
    expect(() => capture.snapshot()).toThrow('the capture is closed');
    expect(heldBy('self')).toEqual(before);
    return waitFor(
      'the kernel to free it',
      () => inKernel(held).length === inKernel(before).length,
    );
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)('leaves nothing after %s', async (signal) => {
    const child = spawn(process.execPath, plain, { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    expect(line.toString()).toBe('open\n');
    const held = heldBy(child.pid!);
    expect(inKernel(held).length).toBeGreaterThan(10);
    child.kill(signal);
    await exited;
    await waitFor('the kernel to free it', () => inKernel(held).length === 0);
  });

  it('ends with a process that does not close it', () => {
    const { status, stdout } = spawnSync(process.execPath, [
      '-e',
      `${script} process.exit(7)`,
      built.addonPath,
      built.objectPath,
    ]);
    expect(stdout.toString()).toBe('open\n');
    expect(status).toBe(7);
  });

  it('drops loopback in the kernel when told to', async () => {
    const netns = lab.netns();
    collected = new Collected([netns], { loopback: false });
    collected.start();
    const command = ['connect', '--port', '9', '--to'];
    for (const to of ['127.0.0.1', '::1', netns.address4]) {
      const client = await lab.traffic('client', [...command, to], { netns });
      await client.said('done');
    }
    const { sockets } = collected;
    await waitFor('the end', () => sockets.some(({ kind }) => kind === SocketKind.CLOSED));
    expect(new Set(sockets.map(({ remoteAddress }) => remoteAddress))).toEqual(
      new Set([netns.address4]),
    );
  });

  // Z02: what finds no room is counted; and a ring that was full is read again.
  it('counts what a blocked reader loses, and goes on', async () => {
    const netns = lab.netns();
    const wanted = 20_000;
    collected = new Collected([netns], { ringBytes: 64 << 10 });
    collected.start();
    const { capture, sockets } = collected;
    // Blocks this thread: first the queue of chunks fills up, then the ring.
    const churn = spawnSync(
      'nsenter',
      [`--net=${netns.path}`, traffic('churn'), 'churn', '--count', String(wanted)],
      { input: 'go\n', encoding: 'utf8' },
    );
    const { made } = JSON.parse(churn.stdout.trim().split('\n').at(-1) ?? '') as { made: number };
    expect(made).toBe(wanted);
    const stats = capture.stats();
    expect(stats.blocked).toBeGreaterThan(0);
    for (const kind of [SocketKind.CONNECTING, SocketKind.ACCEPTED, SocketKind.CLOSED])
      expect(stats.lost[kind]).toBeGreaterThan(0);

    const last = await lab.traffic('client', ['connect', '--to', '127.0.0.1', '--port', '9'], {
      netns,
    });
    await last.said('done');
    await waitFor('a record after the loss', () => sockets.some(({ error }) => error === 111));
    const { lost } = capture.stats();
    const whole = { CONNECTING: 1, ESTABLISHED: 2, ACCEPTED: 1, CLOSED: 2 } as const;
    for (const [name, each] of Object.entries(whole)) {
      const kind = SocketKind[name as keyof typeof whole];
      const seen = sockets.filter((socket) => socket.kind === kind && socket.error !== 111).length;
      // Others on this machine may have lost records of this kind too.
      const missing = each * made - seen - (lost[kind] ?? 0);
      expect({ name, missing: Math.max(0, missing) }).toEqual({ name, missing: 0 });
      expect(seen).toBeLessThan(each * made);
    }
  });
});
