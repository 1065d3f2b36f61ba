import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { traffic, upProgram } from './places.ts';

/** What a test may need of the machine it runs on. */
export type Need = keyof typeof needs;

interface Answer {
  /** Why the machine cannot, or undefined when it can. */
  missing?: string;
  /** Whether installing or building would help: never a reason to skip in CI. */
  curable?: boolean;
}

const tool = (name: string) => (): Answer =>
  (process.env.PATH ?? '').split(delimiter).some((path) => existsSync(join(path, name)))
    ? {}
    : { missing: `${name} is not installed`, curable: true };

const built = (path: string) => (): Answer =>
  existsSync(path) ? {} : { missing: `${path} is not built`, curable: true };

const succeeds = (command: string, args: string[], missing: string) => (): Answer =>
  spawnSync(command, args, { stdio: 'ignore' }).status === 0 ? {} : { missing };

const needs = {
  root: () => (process.getuid?.() === 0 ? {} : { missing: 'not root' }),
  btf: () => (existsSync('/sys/kernel/btf/vmlinux') ? {} : { missing: 'the kernel has no BTF' }),
  bpf: succeeds('bpftool', ['prog', 'list'], 'bpf(2) is not allowed'),
  netns: succeeds('unshare', ['--net', 'true'], 'network namespaces are not allowed'),
  cgroup2: () =>
    /^\S+ \S+ cgroup2 /m.test(readFileSync('/proc/mounts', 'utf8'))
      ? {}
      : { missing: 'no cgroup v2 hierarchy is mounted' },
  uring: () => {
    const file = '/proc/sys/kernel/io_uring_disabled';
    return existsSync('/proc/sys/kernel') &&
      (!existsSync(file) || readFileSync(file, 'utf8').trim() === '0')
      ? {}
      : { missing: 'io_uring is disabled' };
  },
  chromium: tool('chromium'),
  jq: tool('jq'),
  ss: tool('ss'),
  nats: tool('nats-server'),
  containerd: tool('containerd'),
  runc: tool('runc'),
  busybox: built('/bin/busybox'),
  cni: built('/usr/lib/cni/bridge'),
  mounts: succeeds('unshare', ['--mount', 'true'], 'mounts are not allowed'),
  traffic: built(traffic('client')),
  netstatd: built(upProgram),
} satisfies Record<string, () => Answer>;

const answers = new Map<Need, Answer>();

function ask(need: Need): Answer {
  const known = answers.get(need);
  if (known) return known;
  const answer: Answer = needs[need]();
  answers.set(need, answer);
  return answer;
}

/** Why this machine cannot do what is needed, or undefined when it can. */
export function whyNot(...wanted: Need[]): string | undefined {
  const reasons = wanted.flatMap((need) => ask(need).missing ?? []);
  return reasons.length === 0 ? undefined : reasons.join(', ');
}

/** Needs of a private containerd and its containers. */
export const CONTAINERS: Need[] = [
  'root',
  'netns',
  'mounts',
  'containerd',
  'runc',
  'busybox',
  'cni',
];

/** Needs that everything end to end has. */
export const WHOLE_CHAIN: Need[] = [
  'root',
  'btf',
  'bpf',
  'netns',
  'cgroup2',
  'nats',
  'traffic',
  'netstatd',
];

/**
 * As `describe`, on a machine that can do what is needed; otherwise the tests are skipped and say
 * why. With CI=true only what the machine's kernel or rights refuse is skipped: what could be
 * installed or built fails.
 */
export function describeOn(wanted: readonly Need[], name: string, tests: () => void): void {
  const reason = whyNot(...wanted);
  if (reason === undefined) {
    describe(name, tests);
    return;
  }
  const curable = wanted.some((need) => ask(need).curable);
  if (process.env.CI === 'true' && curable) {
    describe(name, () => {
      it('has what it needs', () => {
        throw new Error(reason);
      });
    });
    return;
  }
  process.stderr.write(`SKIP ${name}: ${reason}\n`);
  // The test runner takes a skip for excused by these words.
  describe.skip(`${name} (not on this machine: ${reason})`, tests);
}

/** The programs, maps and links that the kernel holds, as bpftool lists them. */
export function bpftool(
  kind: 'prog' | 'map' | 'link',
): { id: number; type?: string; name?: string }[] {
  const text = execFileSync('bpftool', ['-j', kind, 'list'], { maxBuffer: 1 << 26 }).toString();
  const listed = JSON.parse(text || '[]') as unknown;
  return Array.isArray(listed) ? (listed as { id: number; type?: string; name?: string }[]) : [];
}
