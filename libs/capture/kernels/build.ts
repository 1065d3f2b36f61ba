import { mkdirSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fetchLinker, fetchSysroot, run } from './debian.ts';
import { cache, here, root } from './places.ts';
import type { Architecture } from './places.ts';

/** Paths of what netstatd has for one architecture, and of what tests it. */
export interface Built {
  object: string;
  addon: string;
  recorder: string;
  traffic: string;
}

const targets = {
  amd64: { triple: 'x86_64-linux-gnu', bpf: 'x86' },
  arm64: { triple: 'aarch64-linux-gnu', bpf: 'arm64' },
};

/** Of another architecture: what compiling and linking against libbpf takes. */
const sysroot = [
  ...['libc6', 'libc6-dev', 'linux-libc-dev', 'libgcc-s1', 'libgcc-[0-9]+-dev'],
  ...['libbpf1', 'libbpf-dev', 'libelf1', 'libelf-dev', 'zlib1g', 'zlib1g-dev'],
];

const make = (directory: string, ...variables: string[]) =>
  run('make', ['-s', '-C', join(root, directory), ...variables]);

/** The newest clang there is: one compiler for every architecture. */
function clangVersion(): string {
  const names = (process.env.PATH ?? '').split(delimiter).flatMap((dir) => {
    try {
      return readdirSync(dir);
    } catch {
      return [];
    }
  });
  const versions = names.flatMap((name) => /^clang-(\d+)$/.exec(name)?.[1] ?? []);
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  if (newest === undefined) throw new Error('no clang is installed');
  return newest;
}

/**
 * Builds object, addon and the tests' programs for another architecture, with packages of that architecture that
 * are unpacked beside the sources and not installed.
 */
function buildElsewhere(architecture: Architecture): Built {
  const { triple, bpf } = targets[architecture];
  const out = join(cache, architecture, 'built');
  mkdirSync(out, { recursive: true });
  const version = clangVersion();
  const compiler = [
    `clang-${version}`,
    `--target=${triple}`,
    `--sysroot=${fetchSysroot(architecture, sysroot)}`,
    `--ld-path=${fetchLinker(version)}`,
    '-Wno-unused-command-line-argument',
  ];
  const cc = `CC=${compiler.join(' ')}`;
  make('bpf', `ARCH=${bpf}`, `OUT=${out}`);
  make('libs/capture', cc, `OUT=${out}`);
  make('libs/capture/kernels', cc, `OUT=${out}`);
  make('libs/testkit/traffic', cc, `OUTPUT=${out}`);
  return {
    object: join(out, 'netstatd.bpf.o'),
    addon: join(out, 'netstatd_capture.node'),
    recorder: join(out, 'recorder'),
    traffic: join(out, 'traffic'),
  };
}

/** What there is for this machine's architecture after `npm run build`, and the recorder. */
function buildHere(): Built {
  make('libs/capture/kernels');
  return {
    object: join(root, 'bpf/.output/netstatd.bpf.o'),
    addon: join(root, 'libs/capture/.output/netstatd_capture.node'),
    recorder: join(cache, 'recorder'),
    traffic: join(root, 'libs/testkit/.output/traffic'),
  };
}

/** @throws Error when packages cannot be had or do not compile */
export const buildFor = (architecture: Architecture): Built =>
  architecture === here ? buildHere() : buildElsewhere(architecture);
