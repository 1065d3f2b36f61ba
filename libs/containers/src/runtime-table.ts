import { isDeepStrictEqual } from 'node:util';
import { count, type Counts } from './count.ts';
import type { RuntimeContainer, RuntimeEvents } from './runtime-container.ts';

/** So many containers of one runtime are kept; what comes beyond is counted and not told. */
export const MAX_CONTAINERS = 20_000;
const MAX_GONE = 4096;

/** What a runtime is known to have; tells each change once. */
export class RuntimeTable {
  readonly #known = new Map<string, { container: RuntimeContainer; seen: number }>();
  readonly #events: RuntimeEvents;
  readonly #counters: Counts;
  /** Ids that were removed, the last ones: late news about them tell nothing. */
  readonly #gone = new Set<string>();
  #clock = 0;

  constructor(events: RuntimeEvents, counters: Counts) {
    this.#events = events;
    this.#counters = counters;
    count(counters, 'refusedContainers', 0);
  }

  get size(): number {
    return this.#known.size;
  }

  get(id: string): RuntimeContainer | undefined {
    return this.#known.get(id)?.container;
  }

  /** Takes a description; tells it when it is new or another than before. */
  set(container: RuntimeContainer): void {
    const before = this.#known.get(container.id);
    if (before === undefined && this.#known.size >= MAX_CONTAINERS) {
      count(this.#counters, 'refusedContainers');
      return;
    }
    this.#known.set(container.id, { container, seen: ++this.#clock });
    if (!isDeepStrictEqual(before?.container, container)) this.#events.container(container);
  }

  /** The runtime knows it no more. */
  remove(id: string): void {
    this.#gone.add(id);
    for (const oldest of this.#gone) {
      if (this.#gone.size <= MAX_GONE) break;
      this.#gone.delete(oldest);
    }
    if (this.#known.delete(id)) this.#events.removed(id);
  }

  /** Whether it was removed before. */
  isGone(id: string): boolean {
    return this.#gone.has(id);
  }

  /** A moment to compare with in `keepOnly`: take it before asking for a list. */
  moment(): number {
    return this.#clock;
  }

  /** Removes what is not in a list, unless it was seen after the list was asked for. */
  keepOnly(listed: ReadonlySet<string>, asked: number): void {
    for (const [id, { seen }] of this.#known) {
      if (seen <= asked && !listed.has(id)) this.remove(id);
    }
  }
}
