import { join } from 'node:path';
import type { Built } from './build.ts';
import { run } from './debian.ts';
import { root } from './places.ts';

/** What is put into an emulated machine. */
export interface Guest {
  /** What it does: a script in `guest/`. */
  scenario: string;
  /** Its files and directories: where they are put, and where they come from. */
  files: Record<string, string>;
  /** Its symbolic links, and what they name. */
  links: Record<string, string>;
  /** Its memory. */
  megabytes: number;
}

/** The programs that make traffic: one, under the name of what it plays. */
const ROLES = ['listener', 'acceptor', 'client', 'sender', 'receiver'];
const links = Object.fromEntries(ROLES.map((role) => [`bin/traffic-${role}`, 'traffic']));

/** The addon's C sources without Node, of any architecture. */
export function recorderGuest(built: Built): Guest {
  const files = {
    'bin/recorder': built.recorder,
    'bin/traffic': built.traffic,
    'netstatd.bpf.o': built.object,
  };
  return { scenario: 'recorder', files, links, megabytes: 512 };
}

/**
 * netstatd as it is installed, with Node and everything else that it needs of this machine.
 * @throws Error when a program is not installed
 */
export function netstatdGuest(built: Built): Guest {
  const addon = join(root, 'dist', 'collector', 'capture.node');
  const programs = ['nats-server', 'setpriv', 'bpftool'].map((name) => ({
    name,
    path: find(name),
  }));
  const files: Record<string, string> = { 'bin/node': process.execPath };
  for (const { name, path } of programs) files[`bin/${name}`] = path;
  for (const library of [...Object.values(files), addon].flatMap(librariesOf))
    files[library] = library;
  return {
    scenario: 'netstatd',
    files: { ...files, netstatd: join(root, 'dist'), 'bin/traffic': built.traffic },
    links,
    megabytes: 1536,
  };
}

function find(program: string): string {
  const path = `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin:/sbin`;
  return run('sh', ['-c', 'PATH=$1; command -v "$2"', 'sh', path, program]).trim();
}

/** Where the dynamic loader finds what a program or library is linked against, itself included. */
const librariesOf = (path: string) =>
  [...run('ldd', [path]).matchAll(/(?:=> |^\s)(\/\S+) \(/gm)].map(([, library = '']) => library);
