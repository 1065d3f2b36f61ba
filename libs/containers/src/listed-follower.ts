import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff } from '@netstatd/service';
import { count, type Counts } from './count.ts';
import { InspectQueue } from './inspect-queue.ts';
import { cut } from './labels.ts';
import { ConnectionError, type RuntimeApi, type RuntimeNews } from './runtime-api.ts';
import type { RuntimeEvents, RuntimeFollower, RuntimeState } from './runtime-container.ts';
import { RuntimeTable } from './runtime-table.ts';

/** Questions about single containers at a time. */
const QUESTIONS = 8;
/** Ids that wait to be asked for; beyond it everything is listed instead. */
const MAX_WAITING = 4096;
/** A runtime may say that it sends events before it does: the first list is made again after this. */
const SECOND_LIST_MS = 1000;
const BREATH_MS = 500;
/** A connection that lasted so long was a good one: the next attempt comes soon. */
const GOOD_MS = 10_000;
const MAX_REASON = 200;

/** What a container may be called at any runtime; other texts never leave this process. */
const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

/** Waits between two attempts to connect, and the rest that tests make shorter. */
export interface FollowTimes {
  readonly retryBaseMs?: number;
  readonly retryMaxMs?: number;
}

/**
 * Follows a runtime that has lists, single containers and maybe events: subscribes, lists, asks for what is new, and
 * lists again now and then, and after each loss of the connection.
 */
export class ListedFollower implements RuntimeFollower {
  readonly #counters: Counts;
  readonly #table: RuntimeTable;
  readonly #connect: (news: RuntimeNews, signal: AbortSignal) => Promise<RuntimeApi>;
  readonly #closed = new AbortController();
  #state: RuntimeState;
  #queue: InspectQueue | undefined;
  /** Ends the wait for the next list. */
  #hurry: (() => void) | undefined;
  #askAll = true;

  /**
   * @param name what is followed, until the runtime itself says
   * @param counters the caller's own are added to the follower's
   */
  constructor(
    name: string,
    events: RuntimeEvents,
    counters: Counts,
    connect: (news: RuntimeNews, signal: AbortSignal) => Promise<RuntimeApi>,
    { retryBaseMs = 250, retryMaxMs = 30_000 }: FollowTimes = {},
  ) {
    this.#counters = Object.assign(counters, {
      connects: 0,
      failures: 0,
      events: 0,
      lists: 0,
      inspects: 0,
      malformed: 0,
      remembered: 0,
    });
    this.#table = new RuntimeTable(events, counters);
    this.#connect = connect;
    this.#state = { name, synced: false, reason: 'connecting' };
    void this.#run(new Backoff({ baseMs: retryBaseMs, maxMs: retryMaxMs }));
  }

  get state(): RuntimeState {
    return this.#state;
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  get size(): number {
    return this.#table.size;
  }

  async inspect(id: string, timeoutMs: number): Promise<boolean> {
    const queue = this.#queue;
    if (queue !== undefined && ID.test(id) && queue.size < MAX_WAITING) {
      const enough = new AbortController();
      const late = sleep(timeoutMs, undefined, { signal: enough.signal, ref: false });
      // A failure has been seen to where the queue's task ran.
      await Promise.race([queue.add(id), late]).catch(() => undefined);
      late.catch(() => undefined);
      enough.abort();
    }
    return this.#table.get(id) !== undefined;
  }

  close(): void {
    this.#closed.abort();
  }

  async #run(backoff: Backoff): Promise<void> {
    const { signal } = this.#closed;
    for (;;) {
      const startedAt = performance.now();
      const session = new AbortController();
      const end = () => session.abort();
      signal.addEventListener('abort', end, { once: true });
      let reason = 'the connection ended';
      try {
        this.#count('connects');
        await this.#session(session.signal);
      } catch (error) {
        reason = cut(error instanceof Error ? error.message : String(error), MAX_REASON);
      } finally {
        signal.removeEventListener('abort', end);
        session.abort();
        this.#queue = undefined;
      }
      this.#state = { name: this.#state.name, synced: false, reason };
      if (signal.aborted) return;
      this.#count('failures');
      if (performance.now() - startedAt > GOOD_MS) backoff.reset();
      await backoff.wait(signal);
    }
  }

  /** One connection, to its end. */
  async #session(signal: AbortSignal): Promise<void> {
    // Questions of events have no caller: when one finds the connection broken, this ends the session.
    let fail!: (error: unknown) => void;
    const broken = new Promise<never>((_, reject) => (fail = reject));
    broken.catch(() => undefined);
    const early = new Set<string>();
    let queue: InspectQueue | undefined;
    const news: RuntimeNews = {
      changed: (id) => {
        this.#count('events');
        if (!ID.test(id)) this.#count('malformed');
        else if ((queue?.size ?? early.size) >= MAX_WAITING) this.#uncertain();
        else if (queue === undefined) early.add(id);
        else queue.add(id).catch(fail);
      },
      uncertain: () => this.#uncertain(),
    };
    const api = await this.#connect(news, signal);
    try {
      signal.throwIfAborted();
      queue = this.#queue = new InspectQueue((id) => this.#ask(api, id), QUESTIONS);
      this.#state = { ...this.#state, name: api.name };
      for (const id of early) queue.add(id).catch(fail);
      this.#askAll = true;
      for (let lists = 0; !signal.aborted; lists++) {
        await Promise.race([this.#reconcile(api, queue), broken, api.lost]);
        this.#state = { name: api.name, synced: true };
        const pause = lists === 0 ? Math.min(SECOND_LIST_MS, api.relistMs) : api.relistMs;
        await Promise.race([this.#pause(pause, signal), broken, api.lost]);
      }
    } finally {
      api.close();
    }
  }

  async #reconcile(api: RuntimeApi, queue: InspectQueue): Promise<void> {
    const askAll = this.#askAll;
    this.#askAll = false;
    const asked = this.#table.moment();
    this.#count('lists');
    const listed = await api.list();
    const ids = new Set<string>();
    const questions: Promise<void>[] = [];
    for (const { id, state } of listed) {
      if (!ID.test(id)) {
        this.#count('malformed');
        continue;
      }
      ids.add(id);
      if (askAll || this.#table.get(id)?.state !== state) questions.push(queue.add(id));
    }
    this.#table.keepOnly(ids, asked);
    await Promise.all(questions);
  }

  /** Asks for one container and tells what is found. */
  async #ask(api: RuntimeApi, id: string): Promise<void> {
    this.#count('inspects');
    let container;
    try {
      container = await api.describe(id);
    } catch (error) {
      this.#count('malformed');
      if (error instanceof ConnectionError) throw error;
      return;
    }
    if (container !== undefined) {
      this.#table.set(container);
      return;
    }
    const remembered = api.remembered?.(id);
    if (remembered !== undefined && this.#table.get(id) === undefined && !this.#table.isGone(id)) {
      this.#count('remembered');
      this.#table.set(remembered);
    }
    this.#table.remove(id);
  }

  #uncertain(): void {
    this.#askAll = true;
    this.#hurry?.();
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const rest = (time: number, until: AbortSignal) =>
      sleep(time, undefined, { signal: until }).catch(() => undefined);
    // However often a runtime says what cannot be understood, it is not listed more often than this.
    await rest(Math.min(ms, BREATH_MS), signal);
    if (this.#askAll || signal.aborted) return;
    const pause = new AbortController();
    this.#hurry = () => pause.abort();
    await rest(Math.max(0, ms - BREATH_MS), AbortSignal.any([signal, pause.signal]));
    this.#hurry = undefined;
  }

  #count(what: string): void {
    count(this.#counters, what);
  }
}
