import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cache, here } from './places.ts';
import type { Architecture } from './places.ts';

export function run(command: string, args: string[], cwd?: string): string {
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
  const name = run('apt-cache', [...options, 'search', '--names-only', pattern])
    .split('\n')
    .map((line) => line.replace(/ .*/, ''))
    .filter((each) => new RegExp(pattern).test(each))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1);
  if (name === undefined) throw new Error(`no package ${pattern} is offered`);
  return name;
}

/** Unpacks what matches `members` of a package's files into a directory, whole or not at all. */
function download(options: string[], name: string, directory: string, members: string): void {
  const part = `${directory}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  run('apt-get', [...options, '-qq', 'download', name], part);
  const [file = ''] = readdirSync(part);
  const unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -x --wildcards "$2" && rm "$1"';
  run('sh', ['-c', unpack, 'sh', file, members], part);
  renameSync(part, directory);
}

/**
 * The directory with `members` of the newest package that matches: fetched once, then from the cache, also when
 * there is no network.
 * @throws Error saying why it cannot be had
 */
function fetchPackage(architecture: Architecture, pattern: string, members: string): string {
  const home = join(cache, architecture);
  mkdirSync(home, { recursive: true });
  const cached = () => readdirSync(home).filter((name) => new RegExp(pattern).test(name));
  try {
    return withApt(architecture, (options) => {
      const name = newest(options, pattern);
      const directory = join(home, name);
      if (existsSync(directory)) return directory;
      download(options, name, directory, members);
      for (const old of cached()) if (old !== name) rmSync(join(home, old), { recursive: true });
      return directory;
    });
  } catch (error) {
    const [old] = cached();
    if (old !== undefined) return join(home, old);
    throw error;
  }
}

/** A kernel image of Debian. */
export interface Kernel {
  /** As `uname -r` says it. */
  release: string;
  /** Path of the image to boot. */
  image: string;
}

/**
 * The newest kernel of a series, such as "6.1", that Debian offers.
 * @throws Error saying why there is none
 */
export function fetchKernel(series: string, architecture: Architecture): Kernel {
  const version = series.replaceAll('.', '[.]');
  const pattern = `^linux-image-${version}[.][^-]+(-[0-9]+)?-cloud-${architecture}$`;
  const boot = join(fetchPackage(architecture, pattern, './boot/vmlinuz-*'), 'boot');
  const [image = ''] = readdirSync(boot);
  return { release: image.replace('vmlinuz-', ''), image: join(boot, image) };
}

/** The one program that an emulated machine needs besides what is tested. */
export function fetchBusybox(architecture: Architecture): string {
  const directory = fetchPackage(architecture, '^busybox-static$', './*bin/busybox');
  const found = ['bin', 'usr/bin'].map((dir) => join(directory, dir, 'busybox')).find(existsSync);
  if (found === undefined) throw new Error('busybox-static has no busybox');
  return found;
}

/** The linker that belongs to a version of clang, for any architecture. */
export function fetchLinker(version: string): string {
  const directory = fetchPackage(here, `^lld-${version}$`, './usr/lib/llvm-*/bin/*');
  return join(directory, 'usr/lib', `llvm-${version}`, 'bin', 'ld.lld');
}

/** The headers and libraries of packages, named by patterns, in one tree: for a compiler's --sysroot. */
export function fetchSysroot(architecture: Architecture, patterns: string[]): string {
  const home = join(cache, architecture, 'sysroot');
  if (existsSync(home)) return home;
  const trees = patterns.map((pattern) => fetchPackage(architecture, `^${pattern}$`, './*'));
  const part = `${home}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part);
  for (const tree of trees) {
    run('cp', ['-a', `${tree}/.`, part]);
    rmSync(tree, { recursive: true });
  }
  renameSync(part, home);
  return home;
}
