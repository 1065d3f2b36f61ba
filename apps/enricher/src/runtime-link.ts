import type { RuntimeEvents, RuntimeFollower, RuntimeState } from '@netstatd/containers';
import type { Enricher } from './enricher.ts';
import type { RuntimeSource } from './runtime-source.ts';

/** Containers that are asked for at a time: what is beyond comes by the runtime's own events. */
const ASKED_MAX = 1024;

/** All runtimes of this machine, followed as one. */
export type Runtimes = RuntimeFollower & { readonly states: readonly RuntimeState[] };

/** Starts to follow the container runtimes of this machine. */
export type Follow = (events: RuntimeEvents) => Runtimes;

/** Joins what follows the runtimes with the enricher, in both directions. */
export class RuntimeLink implements RuntimeSource {
  readonly #follow: Follow;
  readonly #waitMs: number;
  readonly #asked = new Set<string>();
  #follower: Runtimes | undefined;
  #enricher: Enricher | undefined;

  /** @param waitMs longest wait for an answer about one container, ms */
  constructor(follow: Follow, waitMs: number) {
    this.#follow = follow;
    this.#waitMs = waitMs;
  }

  /** From here on the enricher is told of containers. */
  start(enricher: Enricher): void {
    this.#enricher = enricher;
    this.#follower = this.#follow({
      container: (container) => enricher.describe(container),
      removed: (id) => enricher.undescribe(id, Number(process.hrtime.bigint())),
    });
  }

  /** Whether any runtime is followed: the others need not keep what that one describes from waiting for it. */
  get following(): boolean {
    return this.#follower?.states.some(({ synced }) => synced) ?? false;
  }

  /** What is followed, in one line. */
  get name(): string {
    return this.#follower?.state.name ?? '';
  }

  /** Why a runtime that is there, or was asked for, is not followed; undefined when nothing is missed. */
  get missed(): string | undefined {
    const { synced = true, reason } = this.#follower?.state ?? {};
    return synced ? undefined : (reason ?? 'not followed');
  }

  /** Whether it is known what there is to follow: the first attempts are over, whatever came of them. */
  get settled(): boolean {
    const { failures = 0, sources = 0 } = this.#follower?.counters ?? {};
    return this.missed === undefined || failures > 0 || sources === 0;
  }

  /** Counted by what follows the runtimes, and how many containers they know. */
  counters(): Record<string, number> {
    const { counters = {}, size = 0 } = this.#follower ?? {};
    const named = Object.entries(counters).map(([name, value]) => [`runtime:${name}`, value]);
    return { ...(Object.fromEntries(named) as Record<string, number>), 'runtime:containers': size };
  }

  ask(containerUid: string): void {
    const asked = this.#asked;
    if (asked.has(containerUid) || asked.size >= ASKED_MAX || !this.#follower) return;
    asked.add(containerUid);
    const answered = (known: boolean): void => {
      asked.delete(containerUid);
      if (!known) this.#enricher?.unknownContainer(containerUid);
    };
    this.#follower.inspect(containerUid, this.#waitMs).then(answered, () => answered(false));
  }

  close(): void {
    this.#follower?.close();
  }
}
