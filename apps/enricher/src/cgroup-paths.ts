import { containerOfCgroup } from '@netstatd/containers';
import type { Container } from './container.ts';

/** Paths kept; a node has at most a few thousand containers. */
const PATHS_MAX = 65_536;

/**
 * Cgroups of containers whose path does not tell their id: containerd's own clients choose ids like "web", and
 * cgroups of any name. A container has what is below its cgroup, too.
 */
export class CgroupPaths {
  /** null where two containers say that the cgroup is theirs: then it tells nothing. */
  readonly #containers = new Map<string, Container | null>();
  readonly #paths = new Map<Container, Set<string>>();
  /** Grows with each change: what was looked up before may be another now. */
  version = 0;

  get size(): number {
    return this.#containers.size;
  }

  /**
   * A runtime says that a container lives in a cgroup.
   * @returns whether that was not known, and is not in the path itself
   */
  learn(path: string, container: Container): boolean {
    if (!isOwnable(path) || containerOfCgroup(path)?.containerUid === container.containerUid) {
      return false;
    }
    const known = this.#containers.get(path);
    const paths = this.#paths.get(container) ?? new Set();
    if (known === container || (known === null && paths.has(path))) return false;
    if (known === undefined && this.#containers.size >= PATHS_MAX) return false;
    this.#paths.set(container, paths.add(path));
    // One that has ended leaves its cgroup to the next.
    const free = known === undefined || known?.record?.state === 'exited';
    this.#containers.set(path, free ? container : null);
    this.version++;
    return true;
  }

  /** The container is gone, or lives elsewhere. */
  forget(container: Container): void {
    for (const path of this.#paths.get(container) ?? []) {
      this.version++;
      if (this.#containers.get(path) !== null) {
        this.#containers.delete(path);
        continue;
      }
      // One that is left has it for itself again.
      const left = [...this.#paths].filter(([one, paths]) => one !== container && paths.has(path));
      if (left.length === 1) this.#containers.set(path, left[0]?.[0] ?? null);
    }
    this.#paths.delete(container);
  }

  /** The container that was said to live in this very cgroup. */
  at(path: string): Container | undefined {
    return this.#containers.get(path) ?? undefined;
  }

  /** The innermost container at or above a path, and how much of the path is its own cgroup's. */
  find(path: string): { container: Container; length: number } | undefined {
    if (this.#containers.size === 0) return undefined;
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
      const container = this.#containers.get(path.slice(0, end));
      if (container === null) return undefined;
      if (container !== undefined) return { container, length: end };
    }
    return undefined;
  }
}

/** Whether a cgroup can be one container's: slices and services have others in them. */
function isOwnable(path: string): boolean {
  if (!/^(\/[^/]+)+$/.test(path) || path.startsWith('/..')) return false;
  return !path.endsWith('.slice') && !path.endsWith('.service');
}

/**
 * Where the OCI spec's cgroupsPath puts a container, as far as it says so: `/default/web` is a path below each
 * hierarchy's root. systemd's form, `system.slice:ctr:web`, and relative ones depend on the runtime.
 */
export function askedPath(cgroupsPath: string | undefined): string | undefined {
  return cgroupsPath?.startsWith('/') ? cgroupsPath.replace(/\/+$/, '') : undefined;
}

/**
 * The cgroup of a container, from a path that a process of it is in: the part that the spec asked for, or up to the
 * segment with its id. Undefined when the path tells of neither: then it is not known to be the container's.
 */
export function ownPath(
  path: string,
  id: string,
  cgroupsPath: string | undefined,
): string | undefined {
  const asked = askedPath(cgroupsPath) ?? scopeOf(cgroupsPath);
  if (asked !== undefined && asked !== '') {
    const at = `${path}/`.lastIndexOf(`${asked}/`);
    if (at >= 0) return path.slice(0, at + asked.length);
  }
  const segments = path.split('/');
  const at = segments.findLastIndex((segment) => isNamed(segment, id));
  return at < 0 ? undefined : segments.slice(0, at + 1).join('/');
}

/** systemd's `slice:prefix:name` makes "/prefix-name.scope" somewhere below the slice. */
function scopeOf(cgroupsPath: string | undefined): string | undefined {
  const [slice, prefix, name, ...more] = cgroupsPath?.split(':') ?? [];
  if (slice === undefined || !name || more.length > 0) return undefined;
  return `/${prefix ? `${prefix}-` : ''}${name}.scope`;
}

/** Whether a segment is the id itself, or a scope of it: "cri-containerd-<id>.scope". */
function isNamed(segment: string, id: string): boolean {
  const name = segment.endsWith('.scope') ? segment.slice(0, -'.scope'.length) : segment;
  return name === id || (id.length === 64 && name.endsWith(id));
}
