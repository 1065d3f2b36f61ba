import type { DescribedContainer } from './containerd-container.ts';
import type { ContainerDescribed, ContainerdEvent } from './containerd-event.ts';
import type { ContainerdTable } from './containerd-table.ts';
import { taskExited, taskStarted } from './containerd-task.ts';

/** What is asked for, and what may go wrong. */
export interface ChangesOptions {
  readonly table: ContainerdTable;
  /** Asks for one container; undefined when there is none, or none that can be described. */
  readonly get: (namespace: string, id: string) => Promise<DescribedContainer | undefined>;
  /** What an event says of a container, for one that has gone before it could be asked for. */
  readonly announced: (event: ContainerDescribed) => DescribedContainer;
  /** A container has gone. */
  readonly deleted: (namespace: string, id: string) => void;
  readonly count: (what: 'stale' | 'unknown') => void;
  /** Nothing more can be applied: everything has to be listed again. */
  readonly lost: (reason: string) => void;
  /** Containers asked for at once. */
  readonly concurrency?: number;
  /** Events that wait; more are a loss. */
  readonly maxWaiting?: number;
}

/**
 * Applies events to the table, those of one container in their order. An event of creation names nothing but the id and
 * the image, so that the container has to be asked for; what comes for it meanwhile waits.
 */
export class ContainerdChanges {
  readonly #options: Required<ChangesOptions>;
  readonly #chains = new Map<string, ContainerdEvent[]>();
  /** Keys of chains that wait for their turn. */
  readonly #turns: string[] = [];
  #held: ContainerdEvent[] | undefined;
  #waiting = 0;
  #running = 0;
  #closed = false;

  constructor(options: ChangesOptions) {
    this.#options = { concurrency: 16, maxWaiting: 65_536, ...options };
  }

  push(event: ContainerdEvent): void {
    if (this.#closed) return;
    if (this.#held) {
      this.#held.push(event);
      this.#waits(1);
      return;
    }
    const key = `${event.namespace}/${event.id}`;
    const chain = this.#chains.get(key);
    if (chain) {
      chain.push(event);
      this.#waits(1);
    } else if (this.#mustAsk(event)) {
      this.#chains.set(key, [event]);
      this.#turns.push(key);
      this.#waits(1);
      this.#next();
    } else {
      this.#apply(event);
    }
  }

  /** Keeps events back, while a list is read that they are newer than. */
  hold(): void {
    this.#held ??= [];
  }

  /** Applies what was kept back. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#waiting -= held.length;
    for (const event of this.#unsettled(held)) this.push(event);
  }

  /**
   * Leaves out what the list knew already: tasks before the one that it has. Their start and end would be told again,
   * and that one's twice. A container that was made anew meanwhile is told as its events say.
   */
  #unsettled(held: readonly ContainerdEvent[]): ContainerdEvent[] {
    const { table } = this.#options;
    const anew = new Set<string>();
    const last = new Map<string, number>();
    for (const [at, event] of held.entries()) {
      const key = `${event.namespace}/${event.id}`;
      if (event.kind === 'deleted') anew.add(key);
      if (event.kind !== 'started') continue;
      if (table.task(event.namespace, event.id)?.pid === event.pid) last.set(key, at);
    }
    return held.filter((event, at) => {
      const key = `${event.namespace}/${event.id}`;
      const task = event.kind === 'started' || event.kind === 'exited';
      return !task || anew.has(key) || at >= (last.get(key) ?? -1);
    });
  }

  close(): void {
    this.#closed = true;
    this.#chains.clear();
    this.#turns.length = 0;
    this.#held = undefined;
  }

  #waits(more: number): void {
    this.#waiting += more;
    if (this.#waiting <= this.#options.maxWaiting) return;
    this.close();
    this.#options.lost('more events than could be applied');
  }

  #mustAsk({ kind, namespace, id, micros }: ContainerdEvent): boolean {
    const { table } = this.#options;
    if (kind === 'described') return true;
    if (kind !== 'deleted') return !table.has(namespace, id);
    // The event is about an older container when the one that is known was made since.
    const created = table.createdMicros(namespace, id) ?? Infinity;
    return table.has(namespace, id) && !(created <= (micros ?? -Infinity));
  }

  #apply(event: ContainerdEvent): void {
    const { table, count, deleted } = this.#options;
    const { kind, namespace, id, micros } = event;
    if (kind === 'deleted') {
      table.remove(namespace, id);
      deleted(namespace, id);
    } else if (kind !== 'described') {
      // Of a container that had the id before.
      if ((table.createdMicros(namespace, id) ?? 0) > (micros ?? Infinity)) {
        count('stale');
        return;
      }
      const change = kind === 'started' ? taskStarted : taskExited;
      const known = table.change(namespace, id, (task) => {
        const after = change(task, event.pid, micros);
        if (after === task) count('stale');
        return after;
      });
      if (!known) count('unknown');
    }
  }

  #next(): void {
    while (this.#running < this.#options.concurrency) {
      const key = this.#turns.shift();
      if (key === undefined) return;
      this.#running++;
      void this.#run(key).finally(() => {
        this.#running--;
        this.#next();
      });
    }
  }

  async #run(key: string): Promise<void> {
    const chain = this.#chains.get(key) ?? [];
    try {
      for (let event = chain.shift(); event && !this.#closed; event = chain.shift()) {
        this.#waiting--;
        // One answer serves all descriptions that were announced before it was asked for.
        for (; event.kind === 'described' && chain[0]?.kind === 'described'; this.#waiting--)
          event = chain.shift() ?? event;
        if (this.#mustAsk(event)) await this.#ask(event);
        else this.#apply(event);
      }
    } catch (error) {
      if (!this.#closed) this.#options.lost(error instanceof Error ? error.message : String(error));
    } finally {
      this.#chains.delete(key);
    }
  }

  async #ask(event: ContainerdEvent): Promise<void> {
    const { table, get, announced, count } = this.#options;
    const { namespace, id } = event;
    const found = await get(namespace, id);
    if (this.#closed) return;
    if (found) table.put(found);
    if (event.kind === 'described') {
      if (!found && !table.has(namespace, id)) table.put(announced(event));
    } else if (event.kind === 'deleted' && found) count('stale');
    else this.#apply(event);
  }
}
