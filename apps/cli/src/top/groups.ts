import { Rate } from './rate.ts';
import type { Connection } from './connections.ts';

/** What a row of the table stands for. */
export const groupings = ['process', 'program', 'pod', 'remote', 'connection'] as const;
export type Grouping = (typeof groupings)[number];

/** Connections that have something in common, and what was counted of them since they are followed. */
export interface Group {
  readonly key: string;
  readonly name: string;
  readonly node: string;
  readonly pid: number | undefined;
  readonly container: string;
  readonly rate: Pick<Rate, 'at' | 'count'>;
  open: number;
  failed: number;
  sent: number;
  received: number;
  /** When it last had an open connection. */
  emptyAt: number;
}

function newGroup(key: string, by: Grouping, first: Connection, now: number): Group {
  const name = nameOf(first, by);
  // What is common to all of them, and nothing else.
  const { node, pid, container } =
    by === 'process' ? first : { node: '', pid: undefined, container: '' };
  const counts = { open: 0, failed: 0, sent: 0, received: 0, emptyAt: now };
  return { key, name, node, pid, container, rate: new Rate(), ...counts };
}

function nameOf({ pod, program, remoteIP }: Connection, by: Grouping): string {
  if (by === 'remote') return remoteIP;
  if (by === 'pod') return pod || '(no pod)';
  return program || '(no owner)';
}

/** Groups kept; beyond it, one that has no open connection goes, or new ones are not made. */
const MAX_GROUPS = 5000;
/** How long a group without open connections is still shown. */
const STAYS_MS = 10_000;

/** Adds connections up by process, program, pod or remote address. */
export class Groups {
  readonly by: Grouping;
  readonly #groups = new Map<string, Group>();
  /** None was empty: not looked for again until the next `expire`. */
  #full = false;

  constructor(by: Grouping) {
    this.by = by;
  }

  get size(): number {
    return this.#groups.size;
  }

  values(): IterableIterator<Group> {
    return this.#groups.values();
  }

  /** The group that a connection belongs to by what is known of it; undefined beyond the bound. */
  of(connection: Connection, now: number): Group | undefined {
    const key = keyOf(connection, this.by);
    const known = this.#groups.get(key);
    if (known) return known;
    if (this.#groups.size >= MAX_GROUPS && !this.#dropEmpty()) return undefined;
    const group = newGroup(key, this.by, connection, now);
    this.#groups.set(key, group);
    return group;
  }

  /** Lets groups go that have had no open connection for a while. */
  expire(now: number): void {
    this.#full = false;
    for (const [key, { open, emptyAt }] of this.#groups) {
      if (open === 0 && now - emptyAt > STAYS_MS) this.#groups.delete(key);
    }
  }

  #dropEmpty(): boolean {
    if (this.#full) return false;
    for (const [key, { open }] of this.#groups) {
      if (open === 0) return this.#groups.delete(key);
    }
    this.#full = true;
    return false;
  }
}

function keyOf({ node, pid, pod, program, remoteIP }: Connection, by: Grouping): string {
  if (by === 'remote') return remoteIP;
  if (by === 'pod') return pod;
  return by === 'program' ? program : `${node} ${pid ?? ''} ${program}`;
}
