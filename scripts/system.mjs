/** Running programs and getting rights, for the scripts that work before anything is installed. */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export const isRoot = process.getuid?.() === 0;

/** One line on stderr, and the end. */
export function fail(message) {
  console.error(`netstatd: ${message}`);
  process.exit(1);
}

/** The path of a program; also looks where root's programs are, which a user's PATH leaves out. */
export function findProgram(name) {
  const dirs = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return dirs
    .map((dir) => join(dir, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** The words before a command that needs root, or undefined when there is no way to get there. */
export function rootPrefix(keep = []) {
  if (isRoot) return [];
  if (!findProgram('sudo')) return undefined;
  const kept = keep.filter((name) => process.env[name]);
  return kept.length > 0 ? ['sudo', `--preserve-env=${kept.join(',')}`, '--'] : ['sudo', '--'];
}

/** Runs a command to its end; `onLine` gets its output instead of the terminal. */
export function run(command, { onLine, ...options } = {}) {
  const stdio = onLine ? ['inherit', 'pipe', 'pipe'] : 'inherit';
  const child = spawn(command[0], command.slice(1), { stdio, ...options });
  let rest = '';
  for (const stream of onLine ? [child.stdout, child.stderr] : []) {
    stream.setEncoding('utf8').on('data', (chunk) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      lines.forEach(onLine);
    });
  }
  return new Promise((resolve) => {
    child.once('error', (error) => {
      onLine?.(String(error));
      resolve(127);
    });
    child.once('close', (code) => {
      if (rest) onLine(rest);
      resolve(code ?? 1);
    });
  });
}

/** The output of a short command, or undefined when it fails. */
export function output(command) {
  const { status, stdout } = spawnSync(command[0], command.slice(1), { encoding: 'utf8' });
  return status === 0 ? stdout : undefined;
}

/** A step with its name before and its time after it; says nothing when it was instant. */
export async function step(name, work) {
  const startedAt = performance.now();
  const live = process.stderr.isTTY;
  if (live) process.stderr.write(`${name} …`);
  const result = await work();
  const seconds = (performance.now() - startedAt) / 1000;
  if (live) process.stderr.write('\r\u001b[K');
  if (seconds > 5) console.error(`${name}: ${seconds.toFixed(0)} s`);
  return result;
}
