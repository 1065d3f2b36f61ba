import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fetchBusybox } from './debian.ts';
import type { Kernel } from './debian.ts';
import type { Guest } from './guests.ts';
import { cache, here } from './places.ts';
import type { Architecture } from './places.ts';

interface Emulated {
  program: string;
  machine: string[];
  bootOptions: string;
}

/** The emulated machine of each architecture. */
export const emulated: Record<Architecture, Emulated> = {
  amd64: {
    program: 'qemu-system-x86_64',
    machine: ['-machine', 'q35', '-cpu', 'max'],
    bootOptions: 'console=ttyS0 tsc=reliable',
  },
  arm64: {
    program: 'qemu-system-aarch64',
    machine: ['-machine', 'virt', '-cpu', 'cortex-a57'],
    bootOptions: 'console=ttyAMA0',
  },
};

/** A machine that takes longer hangs. Software emulation of one takes some 10 s, with Node in it some 50 s. */
const LIMIT_MS = 240_000;

/** Every file of the machine, from `guest` and from elsewhere. */
function makeInitramfs(directory: string, architecture: Architecture, guest: Guest): string {
  const tree = join(directory, 'root');
  for (const dir of ['bin', 'proc', 'sys', 'dev']) mkdirSync(join(tree, dir), { recursive: true });
  const put = (from: string, to: string) => {
    mkdirSync(dirname(join(tree, to)), { recursive: true });
    cpSync(realpathSync(from), join(tree, to), { recursive: true });
  };
  put(fetchBusybox(architecture), 'bin/busybox');
  put(join(__dirname, 'guest', 'init'), 'init');
  put(join(__dirname, 'guest', 'traffic'), 'traffic');
  put(join(__dirname, 'guest', guest.scenario), 'scenario');
  for (const [to, from] of Object.entries(guest.files)) put(from, to);
  for (const [at, named] of Object.entries(guest.links)) symlinkSync(named, join(tree, at));
  const image = join(directory, 'initramfs');
  const pack = 'cd "$1" && find . | "$3" cpio -o -H newc 2>/dev/null > "$2"';
  const { status } = spawnSync('sh', ['-c', pack, 'sh', tree, image, fetchBusybox(here)]);
  if (status !== 0) throw new Error('busybox cannot pack the initramfs');
  return image;
}

/**
 * Boots a kernel in software emulation with nothing but the guest and busybox, and returns what the system said
 * between its words "== begin" and "== end". Leaves no process and no file.
 * @throws Error with the console's end when it does not come so far
 */
export function boot(kernel: Kernel, architecture: Architecture, guest: Guest): string {
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(join(cache, 'run-'));
  try {
    const initramfs = makeInitramfs(directory, architecture, guest);
    const { program, machine, bootOptions } = emulated[architecture];
    const command = [program, '-accel', 'tcg', ...machine, '-smp', '2'];
    command.push('-m', String(guest.megabytes));
    command.push('-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot');
    command.push('-net', 'none', '-serial', 'stdio');
    command.push('-kernel', kernel.image, '-initrd', initramfs);
    command.push('-append', `${bootOptions} quiet panic=-1 mitigations=off nokaslr`);
    // It ends with the test, however that ends.
    const run = spawnSync('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
      encoding: 'utf8',
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
      maxBuffer: 1 << 26,
    });
    const [console, told] = run.stdout.split(/^== begin\r?\n/m);
    if (told?.includes('\n== end')) return told.slice(0, told.indexOf('\n== end'));
    const reason = run.error?.message ?? run.stderr;
    throw new Error(`${kernel.release} did not come to its end: ${reason}\n${console}\n${told}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
