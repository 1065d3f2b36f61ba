import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseMountinfo, unifiedCgroupMount } from './mountinfo.ts';
import { ProcFs } from './procfs.ts';

/** Cgroups kept; a node has at most a few thousand. */
const CGROUPS_MAX = 65_536;
/** A scan looks at so many directories and no more. */
const SCAN_MAX = 32_768;
/** Misses trigger a scan at most this often: some ids are of cgroups that are gone, and will never be found. */
const SCAN_INTERVAL_MS = 1000;

/**
 * Paths of the cgroups of the unified hierarchy by id (the inode of their directory). Learned from kernel records
 * as cgroups come and go, and by walking the tree for those that were there before.
 */
export class CgroupIndex {
  readonly #root: string | undefined;
  readonly #now: () => number;
  readonly #paths = new Map<number, string>();
  #scannedAt = -Infinity;
  /** Paths that were dropped to stay within the bound. */
  evicted = 0;

  /**
   * @param root mount point of the hierarchy; found in /proc/self/mountinfo when not given, null for none: then what
   * is learned is all that is known.
   */
  constructor(
    root: string | null | undefined = unifiedCgroupMount(parseMountinfo(new ProcFs().mountinfo())),
    now: () => number = () => performance.now(),
  ) {
    this.#root = root ?? undefined;
    this.#now = now;
  }

  get size(): number {
    return this.#paths.size;
  }

  /** Every path that is known. */
  paths(): IterableIterator<string> {
    return this.#paths.values();
  }

  /** Ids and paths of all that is there now, as far as a scan goes. */
  entries(): IterableIterator<[id: number, path: string]> {
    this.rescan();
    return this.#paths.entries();
  }

  /** The id of a path below the hierarchy's root; undefined when there is none (any more). */
  idOf(path: string): number | undefined {
    // Seen from a cgroup namespace, what is outside of it begins with "/..".
    if (this.#root === undefined || path.startsWith('/..')) return undefined;
    try {
      return statSync(join(this.#root, path)).ino;
    } catch {
      return undefined;
    }
  }

  /** Path below the hierarchy's root, "/" for the root itself; undefined for an id that is not known. */
  pathOf(id: number): string | undefined {
    const path = this.#paths.get(id);
    if (path !== undefined || this.#root === undefined) return path;
    if (this.#now() - this.#scannedAt < SCAN_INTERVAL_MS) return undefined;
    this.#scan(this.#root);
    return this.#paths.get(id);
  }

  /** Reads the whole tree anew and forgets what is no longer in it: after a loss of records. */
  rescan(): void {
    if (this.#root === undefined) return;
    this.#paths.clear();
    this.#scan(this.#root);
  }

  learn(id: number, path: string): void {
    if (this.#paths.size >= CGROUPS_MAX && !this.#paths.has(id)) {
      for (const oldest of this.#paths.keys()) {
        this.#paths.delete(oldest);
        this.evicted++;
        break;
      }
    }
    this.#paths.set(id, path);
  }

  forget(id: number): void {
    this.#paths.delete(id);
  }

  /** Breadth first, so that a tree beyond the bound is known in its upper levels. */
  #scan(root: string): void {
    this.#scannedAt = this.#now();
    const directories = [''];
    for (let next = 0; next < directories.length && next < SCAN_MAX; next++) {
      const path = directories[next] ?? '';
      try {
        this.learn(statSync(root + path).ino, path || '/');
        for (const entry of readdirSync(root + path, { withFileTypes: true })) {
          if (entry.isDirectory() && directories.length < SCAN_MAX) {
            directories.push(`${path}/${entry.name}`);
          }
        }
      } catch {
        // Removed since its parent was read.
      }
    }
  }
}
