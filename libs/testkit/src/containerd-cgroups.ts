import { existsSync, readFileSync, readdirSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Tries at a cgroup whose processes are ending. */
const TRIES = 50;

/**
 * Removes cgroups, given by their path from the root, in every hierarchy: what is below them, and what is above and
 * empty then.
 */
export async function removeCgroups(paths: readonly string[]): Promise<void> {
  const roots = [...readFileSync('/proc/mounts', 'utf8').matchAll(/^\S+ (\S+) cgroup2? /gm)];
  for (const [, root = ''] of roots)
    for (const path of paths) {
      for (let tries = 0; !removed(join(root, path)) && tries < TRIES; tries++) await delay(20);
      for (let above = dirname(path); above !== '/'; above = dirname(above))
        if (!emptied(join(root, above))) break;
    }
}

function removed(path: string): boolean {
  if (!existsSync(path)) return true;
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removed(join(path, entry.name));
  return emptied(path);
}

function emptied(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return !existsSync(path);
  }
}
