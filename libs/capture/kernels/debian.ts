import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cache } from './places.ts';
import type { Architecture } from './places.ts';

const here: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

function run(command: string, args: string[], cwd?: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: 120_000,
    maxBuffer: 1 << 26,
    ...(cwd && { cwd }),
  });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

/**
 * Options by which apt keeps lists of its own for an architecture: the machine's lists may be old, absent or of
 * another architecture, and are not ours to change. Needs no root.
 */
function ownLists(architecture: Architecture): string[] {
  const dir = join(cache, 'apt', architecture);
  mkdirSync(join(dir, 'lists', 'partial'), { recursive: true });
  mkdirSync(join(dir, 'cache', 'archives', 'partial'), { recursive: true });
  const options = {
    'Dir::State::Lists': join(dir, 'lists'),
    'Dir::Cache': join(dir, 'cache'),
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
  };
  return Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** Calls `work` with the machine's own lists if they may do, then with lists of ours, fresh if need be. */
function withApt<T>(architecture: Architecture, work: (options: string[]) => T): T {
  if (architecture === here) {
    try {
      return work([]);
    } catch {
      // Without lists, or with ones that name files the mirror no longer has.
    }
  }
  const options = ownLists(architecture);
  try {
    return work(options);
  } catch {
    // One source that fails does not matter where the others have what is wanted.
    spawnSync('apt-get', [...options, '-qq', 'update'], { timeout: 120_000 });
    return work(options);
  }
}

/** The newest package whose name matches; of names that differ in a version, the highest. */
function newest(options: string[], pattern: string): string {
  const names = run('apt-cache', [...options, 'search', '--names-only', pattern])
    .split('\n')
    .map((line) => line.replace(/ .*/, ''))
    .filter((name) => new RegExp(pattern).test(name))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  const last = names.at(-1);
  if (!last) throw new Error(`no package ${pattern} is offered`);
  return last;
}

function download(options: string[], name: string, directory: string, members: string[]): void {
  rmSync(directory, { recursive: true, force: true });
  const part = `${directory}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  run('apt-get', [...options, '-qq', 'download', name], part);
  const [file = ''] = readdirSync(part);
  const unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -x --wildcards "$2"; rm "$1"';
  for (const member of members) run('sh', ['-c', unpack, 'sh', file, member], part);
  run('mv', [part, directory]);
}

/** An unpacked kernel image of Debian. */
export interface Kernel {
  /** As `uname -r` says it. */
  release: string;
  /** Path of the image to boot. */
  image: string;
}

function unpacked(directory: string): Kernel | undefined {
  const boot = join(directory, 'boot');
  const image = existsSync(boot) && readdirSync(boot).find((name) => name.startsWith('vmlinuz-'));
  return image ? { release: image.slice('vmlinuz-'.length), image: join(boot, image) } : undefined;
}

/**
 * The newest kernel of a series, such as "6.1", that Debian offers: fetched once, then from the cache, also when
 * there is no network.
 * @throws Error saying why there is none
 */
export function fetchKernel(series: string, architecture: Architecture): Kernel {
  const start = `linux-image-${series}.`;
  const pattern = `^${start.replaceAll('.', '[.]')}[^-]+(-[0-9]+)?-cloud-${architecture}$`;
  const directory = join(cache, architecture);
  const cached = () =>
    existsSync(directory)
      ? readdirSync(directory).filter((name) => name.startsWith(start) && !name.endsWith('.part'))
      : [];
  try {
    return withApt(architecture, (options) => {
      const name = newest(options, pattern);
      const there = unpacked(join(directory, name));
      if (there) return there;
      download(options, name, join(directory, name), ['./boot/vmlinuz-*']);
      for (const old of cached())
        if (old !== name) rmSync(join(directory, old), { recursive: true });
      const fetched = unpacked(join(directory, name));
      if (!fetched) throw new Error(`${name} has no kernel image`);
      return fetched;
    });
  } catch (error) {
    const kernel = cached()
      .map((name) => unpacked(join(directory, name)))
      .find(Boolean);
    if (kernel) return kernel;
    throw error;
  }
}
