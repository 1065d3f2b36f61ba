import { EventEmitter, once } from 'node:events';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Backoff, type Log } from '@netstatd/service';
import { isContainerdName } from './containerd-container.ts';
import { ContainerdCounters } from './containerd-counters.ts';
import type { ContainerdSession } from './containerd-session.ts';
import { ContainerdTable } from './containerd-table.ts';
import type { RuntimeEvents, RuntimeFollower, RuntimeState } from './runtime-container.ts';

export interface ContainerdFollowerOptions {
  /** Path of containerd's socket. */
  readonly socket: string;
  readonly log: Pick<Log, 'info' | 'warn'>;
  readonly events: RuntimeEvents;
  /** Containers kept; more are refused and counted. Default 16,384. */
  readonly maxContainers?: number;
  /** How long one answer may take, in milliseconds; default 5,000. */
  readonly callMs?: number;
  /** How long a list may take, in milliseconds; default 60,000. */
  readonly listMs?: number;
  /** Time between two questions whether containerd is there, in milliseconds; default 10,000. */
  readonly heartbeatMs?: number;
  /** Time between two lists that confirm what the events told, in milliseconds; default 600,000. */
  readonly relistMs?: number;
}

/** Different reasons that are logged between two times of being synced. */
const MAX_REASONS = 8;
/** Inspections that wait for their answer; more are refused. */
const MAX_INSPECTING = 4096;

/** Follows one containerd: all its namespaces, through restarts of it. */
export class ContainerdFollower implements RuntimeFollower {
  readonly #options: Required<ContainerdFollowerOptions>;
  readonly #name: string;
  readonly #counters = new ContainerdCounters();
  readonly #table: ContainerdTable;
  readonly #backoff = new Backoff({ baseMs: 100, maxMs: 5_000 });
  readonly #closed = new AbortController();
  readonly #reasons = new Set<string>();
  #state: RuntimeState;
  #session: ContainerdSession | undefined;
  readonly #signs = new EventEmitter().setMaxListeners(0);
  #inspecting = 0;

  constructor(options: ContainerdFollowerOptions) {
    this.#options = {
      maxContainers: 16_384,
      callMs: 5_000,
      listMs: 60_000,
      heartbeatMs: 10_000,
      relistMs: 600_000,
      ...options,
      socket: resolve(options.socket),
    };
    this.#name = `containerd ${this.#options.socket}`;
    this.#state = { name: this.#name, synced: false, reason: 'not connected yet' };
    this.#table = new ContainerdTable(options.events, this.#options.maxContainers, (what) => {
      this.#counters[what]++;
    });
    void this.#run();
  }

  get state(): RuntimeState {
    return this.#state;
  }

  get counters(): Readonly<Record<string, number>> {
    return Object.fromEntries(Object.entries(this.#counters));
  }

  get size(): number {
    return this.#table.size;
  }

  async inspect(id: string, timeoutMs: number): Promise<boolean> {
    if (this.#table.hasId(id)) return true;
    if (!isContainerdName(id) || this.#inspecting >= MAX_INSPECTING) return false;
    this.#inspecting++;
    const limit = AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#closed.signal]);
    try {
      // A list that is being read will have it.
      if (!this.#state.synced) await once(this.#signs, 'synced', { signal: limit });
      if (!this.#table.hasId(id) && this.#session)
        await Promise.race([this.#session.inspect(id), aborted(limit)]);
    } catch {
      // Neither the end of the wait nor that of the connection is an answer.
    } finally {
      this.#inspecting--;
    }
    return this.#table.hasId(id);
  }

  close(): void {
    this.#closed.abort();
    this.#session?.close();
  }

  async #run(): Promise<void> {
    while (!this.#closed.signal.aborted) {
      try {
        await this.#connect();
      } catch (error) {
        this.#counters.failures++;
        this.#lost(error instanceof Error ? error.message : String(error));
      }
      this.#session = undefined;
      await this.#backoff.wait(this.#closed.signal);
    }
    this.#state = { name: this.#name, synced: false, reason: 'closed' };
  }

  async #connect(): Promise<void> {
    const { socket, callMs, listMs, heartbeatMs, relistMs } = this.#options;
    // Without a socket there is no need for all that gRPC takes.
    await stat(socket);
    const { ContainerdSession } = await import('./containerd-session.ts');
    if (this.#closed.signal.aborted) return;
    this.#session = new ContainerdSession({
      socket,
      table: this.#table,
      counters: this.#counters,
      timeouts: { callMs, listMs },
      heartbeatMs,
      relistMs,
      synced: (version) => this.#synced(version),
      steady: () => this.#backoff.reset(),
    });
    await this.#session.run();
  }

  #synced(version: string): void {
    if (!this.#state.synced) {
      this.#options.log.info(
        { socket: this.#options.socket, version, containers: this.size },
        'containerd is followed',
      );
    }
    this.#state = { name: this.#name, synced: true };
    this.#reasons.clear();
    this.#signs.emit('synced');
  }

  #lost(reason: string): void {
    if (this.#closed.signal.aborted) return;
    this.#state = { name: this.#name, synced: false, reason };
    if (this.#reasons.has(reason) || this.#reasons.size >= MAX_REASONS) return;
    this.#reasons.add(reason);
    this.#options.log.warn({ socket: this.#options.socket, reason }, 'containerd is not followed');
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => signal.addEventListener('abort', () => done(), { once: true }));
}
