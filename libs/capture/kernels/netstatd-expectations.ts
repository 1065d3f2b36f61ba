import { CgroupKind } from '@netstatd/records';
import type { Hook } from '../src/addon.ts';
import { captureKinds } from '../src/kinds.ts';
import type { Story } from './story.ts';

/** What `netstatd doctor --json` says, as far as it is read here. */
interface Report {
  verdict: string;
  exitCode: number;
  summary: string;
  gaps: string[];
  up: { starts: boolean; source?: string };
  capture?: Record<string, string>;
  captureError?: { code: string };
  hooks: (Hook & { gives: string; remedy?: string })[];
  checks: { group: string; subject: string; state: string; text: string }[];
}

/** A program as `bpftool prog show` tells it, with bpf_stats_enabled. */
interface Program {
  name: string;
  run_cnt?: number;
}

interface Service {
  service: string;
  capture?: Record<string, string>;
}

interface Connection {
  direction: string;
  pid: number;
  exe: string;
  comm: string;
}

/** One that is run only when an account does not add up: there may be sockets that nobody holds. */
const always = (hook: string): boolean => hook !== 'snapshot_namespace';

/** What `doctor` says of a machine is what then happens on it. */
export function itSaysWhatIsSo(tell: () => Story): void {
  let story: Story;

  beforeAll(() => {
    story = tell();
  });

  const doctor = (name: string) => {
    expect(story.text(`${name}-doctor-errors`)).toBe('');
    const report = JSON.parse(story.text(`${name}-doctor`)) as Report;
    expect(String(report.exitCode)).toBe(story.text(`${name}-doctor-exit`));
    return report;
  };
  const check = ({ checks }: Report, group: string, subject: string) =>
    checks.find((one) => one.group === group && one.subject === subject);
  const json = (section: string): unknown => JSON.parse(story.text(section));

  /** Programs by name: how often the kernel ran each while `up` did. */
  const runs = (name: string) =>
    Object.fromEntries(
      (json(`${name}-programs`) as Program[]).map((program) => [
        program.name,
        program.run_cnt ?? 0,
      ]),
    );
  const thatRan = (name: string, hooks: Hook[]) =>
    hooks.filter((hook) => runs(name)[hook.name]).map((hook) => hook.name);

  /** The probes in use, as the collector's status tells it. */
  const inUse = (name: string) => {
    const [node] = (json(`${name}-status`) as { nodes: { services: Service[] }[] }).nodes;
    return node?.services.find(({ service }) => service === 'collector')?.capture;
  };

  it('names kernel, type information and control groups', () => {
    const [bare, full] = [doctor('bare'), doctor('full')];
    expect(check(full, 'kernel', 'version')?.text).toContain(`Linux ${story.release}`);
    expect(check(full, 'kernel', 'BTF')?.text).toMatch(/^\/sys\/kernel\/btf\/vmlinux, \d/);
    expect(check(full, 'kernel', 'lockdown')?.text).toBe('integrity');
    expect(check(bare, 'cgroups', 'version')).toMatchObject({ state: 'warn' });
    expect(check(full, 'cgroups', 'version')?.text).toBe('v2 at /sys/fs/cgroup');
  });

  it('attaches and runs every hook that doctor calls attached', () => {
    const { hooks, verdict, exitCode, capture, up } = doctor('full');
    expect([verdict, exitCode]).toEqual(['full', 0]);
    const attached = hooks.filter(({ state }) => state === 'attached').map(({ name }) => name);
    expect(thatRan('full', hooks).filter(always)).toEqual(attached.filter(always));
    expect(Object.keys(runs('full'))).toEqual(expect.arrayContaining(attached));
    expect(up).toMatchObject({ starts: true, source: 'bpf' });
    expect(inUse('full')).toEqual({ source: 'bpf', ...capture });
  });

  it('runs no hook that doctor calls missing, and doctor says why and what to do', () => {
    const { hooks, verdict, exitCode, capture, gaps } = doctor('bare');
    expect([verdict, exitCode]).toEqual(['partial', 3]);
    expect(gaps).toContain('UDP flows');
    const missing = hooks.filter(({ state }) => state === 'unsupported');
    expect(missing).toEqual(hooks.filter(({ section }) => section.startsWith('cgroup')));
    for (const { reason, remedy } of missing)
      expect([reason, remedy]).toEqual([
        'no cgroup v2 hierarchy is mounted',
        expect.stringMatching(/^mount -t cgroup2 /),
      ]);
    expect(thatRan('bare', missing)).toEqual([]);
    expect(thatRan('bare', hooks)).toContain('tcp_state');
    expect(inUse('bare')).toEqual({ source: 'bpf', ...capture });
    expect(capture).toEqual(
      captureKinds(Object.fromEntries(hooks.map((hook) => [hook.name, hook]))),
    );
    expect(capture?.udp).toMatch(/^unsupported: no cgroup v2/);
  });

  it('says what an ordinary user gets', () => {
    const report = doctor('nobody');
    expect(report).toMatchObject({ verdict: 'partial', exitCode: 3, hooks: [] });
    expect(report.captureError?.code).toBe('NO_RIGHTS');
    expect(report.up.source).toBe('procfs');
  });

  it('says that a kernel locked down for confidentiality forbids it', () => {
    const report = doctor('confidentiality');
    expect(report).toMatchObject({ verdict: 'partial', exitCode: 3, hooks: [] });
    expect(report.summary).toMatch(/locked down for confidentiality/);
    expect(check(report, 'kernel', 'lockdown')?.state).toBe('fail');
  });

  it('leaves no program in the kernel', () => {
    for (const name of ['bare', 'full']) {
      expect(story.text(`${name}-up-exit`)).toBe('0');
      expect(json(`${name}-left`)).toEqual([]);
    }
  });

  it.each(['old', 'new'])('names the owners of open connections in the API: %s', (name) => {
    const { items } = json(`full-${name}`) as { items: Connection[] };
    const acceptor = story.one(`${name}-listener`, 'ready').pid;
    const client = story.one(`${name}-client`, 'hello').pid;
    const exe = '/bin/traffic';
    const byDirection = [...items].sort((a, b) => a.direction.localeCompare(b.direction));
    expect(byDirection).toMatchObject([
      { direction: 'inbound', pid: acceptor, comm: 'traffic-accepto' },
      { direction: 'outbound', pid: client, comm: 'traffic-client' },
    ]);
    for (const connection of items) expect(connection.exe).toBe(exe);
  });

  it('tells of cgroups as they come and go', () => {
    const { cgroups } = story.recording('full-recording');
    expect(cgroups.filter(({ path }) => path === '/gone').map(({ kind }) => kind)).toEqual([
      CgroupKind.MADE,
      CgroupKind.REMOVED,
    ]);
  });
}
