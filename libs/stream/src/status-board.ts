import type { BusLog, Subscription } from '@netstatd/bus';
import { allNodes, subjects, unpack } from '@netstatd/bus';
import type { ServiceStatus } from '@netstatd/events';
import { statusSchema } from '@netstatd/events';
import type { StreamBus } from './bus.ts';
import { isOfNode } from './feed.ts';
import { HEARTBEAT_MS } from './status-publisher.ts';

/** The last that was heard of a service. */
export interface BoardEntry {
  readonly status: ServiceStatus;
  /** When, in milliseconds since 1970 by our clock. */
  readonly heardAt: number;
  /** Three heartbeats were missed. */
  readonly silent: boolean;
}

/** `up`: first heard, or heard again after silence; `restarted`: another process than before. */
export interface BoardChange {
  readonly kind: 'restarted' | 'silent' | 'up';
  readonly node: string;
  readonly service: string;
}

export interface StatusBoardOptions {
  readonly bus: StreamBus;
  /** A node's name, or `*` for every node. */
  readonly node: string;
  readonly log: BusLog;
  readonly onChange?: (change: BoardChange) => void;
  readonly heartbeatMs?: number;
}

/** Services on the board; beyond them the one not heard for longest is forgotten. */
const MAX_ENTRIES = 16_384;
const MISSED_HEARTBEATS = 3;

/** The last heartbeat of every service of one node or of all; silent ones stay on it. */
export class StatusBoard {
  readonly counters = { heartbeats: 0, malformed: 0, forgotten: 0 };
  readonly #options: StatusBoardOptions;
  readonly #subscription: Subscription;
  readonly #timer: NodeJS.Timeout;
  readonly #silentAfterMs: number;
  /** In the order in which they were last heard. */
  readonly #entries = new Map<string, BoardEntry>();
  /** When the bus came back: silence is counted from there. */
  #listeningSince = performance.now();
  readonly #heard = new WeakMap<BoardEntry, number>();
  readonly #ignoreBus: () => void;

  /** Listens from here on. Throws a RangeError on a bad node name. */
  constructor(options: StatusBoardOptions) {
    this.#options = options;
    const { status } = options.node === '*' ? allNodes : subjects(options.node);
    const heartbeatMs = options.heartbeatMs ?? HEARTBEAT_MS;
    this.#silentAfterMs = heartbeatMs * (MISSED_HEARTBEATS + 0.5);
    this.#subscription = options.bus.subscribe(status, (payload, subject) =>
      this.#take(payload, subject),
    );
    this.#timer = setInterval(() => this.#findSilent(), heartbeatMs / 2);
    this.#ignoreBus = options.bus.onChange((connected) => {
      if (connected) this.#listeningSince = performance.now();
    });
  }

  /** Every service that was heard, in no particular order. */
  entries(): BoardEntry[] {
    return [...this.#entries.values()];
  }

  get(node: string, service: string): BoardEntry | undefined {
    return this.#entries.get(keyOf(node, service));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#ignoreBus();
    this.#subscription.close();
  }

  #take(payload: Uint8Array, subject: string): void {
    const status = readStatus(payload, subject);
    if (!status) {
      if (this.counters.malformed++ === 0)
        this.#options.log.warn({ subject }, 'a message on the bus is no heartbeat');
      return;
    }
    this.counters.heartbeats++;
    const { node, service } = status;
    const key = keyOf(node, service);
    const known = this.#entries.get(key);
    const entry: BoardEntry = { status, heardAt: Date.now(), silent: false };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#heard.set(entry, performance.now());
    this.#forgetOldest();
    if (!known || known.silent) this.#change('up', node, service);
    else if (known.status.startedAt !== status.startedAt || known.status.pid !== status.pid)
      this.#change('restarted', node, service);
  }

  #forgetOldest(): void {
    if (this.#entries.size <= MAX_ENTRIES) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
    this.counters.forgotten++;
  }

  /** While the bus is away nobody can be heard, which says nothing about the nodes. */
  #findSilent(): void {
    if (!this.#options.bus.connected) return;
    const now = performance.now();
    for (const [key, entry] of this.#entries) {
      const heard = Math.max(this.#heard.get(entry) ?? now, this.#listeningSince);
      if (entry.silent || now - heard <= this.#silentAfterMs) continue;
      this.#entries.set(key, { ...entry, silent: true });
      this.#change('silent', entry.status.node, entry.status.service);
    }
  }

  #change(kind: BoardChange['kind'], node: string, service: string): void {
    this.#options.onChange?.({ kind, node, service });
  }
}

/** No service name has a space. */
function keyOf(node: string, service: string): string {
  return `${node} ${service}`;
}

function readStatus(payload: Uint8Array, subject: string): ServiceStatus | undefined {
  try {
    const status = statusSchema.safeParse(unpack(payload, { maxBytes: 256 << 10 }));
    if (status.success && isOfNode(status.data.node, subject)) return status.data;
  } catch {
    // Not MessagePack: counted by the caller, like everything else that is no heartbeat.
  }
  return undefined;
}
