import { batch, signal } from '@preact/signals';
import { wantedTypes, type WireEvent } from './event.ts';
import type { ConnectionTable } from './table.ts';

/** Where the page stands with the gateway. */
export type Link =
  | { readonly state: 'connecting' }
  /** Connected, nothing heard yet: the node's enricher has not answered. */
  | { readonly state: 'waiting' }
  | { readonly state: 'snapshot'; readonly received: number }
  | { readonly state: 'live' }
  /** Events were lost on the way; the fresh state that makes the table whole is coming. */
  | { readonly state: 'behind' }
  | { readonly state: 'offline'; readonly retryAt: number };

const firstRetryMs = 500;
const lastRetryMs = 10_000;

/** Follows `/conntrack` into a table for as long as the page lives. */
export class Follower {
  readonly link = signal<Link>({ state: 'connecting' });
  /** Events received by this page, and what it was told was lost, per place. */
  readonly received = signal(0);
  readonly lost = signal<Readonly<Record<string, number>>>({});
  /** The page was told of a loss whose size nobody knows (a restart). */
  readonly lostUncounted = signal(0);
  readonly nodesDown = signal<ReadonlyMap<string, string>>(new Map());
  readonly #table: ConnectionTable;
  readonly #url: string;
  #failures = 0;
  #socket: WebSocket | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(table: ConnectionTable, origin: string) {
    this.#table = table;
    const query = wantedTypes.map((type) => `type=${type}`).join('&');
    this.#url = `${origin.replace(/^http/, 'ws')}/conntrack?${query}`;
  }

  /** Connects now, also when a retry is waiting for its time. */
  connect(): void {
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.link.value = { state: 'connecting' };
    const socket = new WebSocket(this.#url, 'netstatd.v1.batch');
    this.#socket = socket;
    socket.onopen = () => {
      this.link.value = { state: 'waiting' };
      this.#table.begin();
    };
    socket.onmessage = ({ data }) => this.#take(data as string);
    socket.onclose = () => {
      if (this.#socket === socket) this.#later();
    };
  }

  #later(): void {
    const ceiling = Math.min(lastRetryMs, firstRetryMs * 2 ** this.#failures);
    const delay = ceiling / 2 + (Math.random() * ceiling) / 2;
    this.#failures += 1;
    this.link.value = { state: 'offline', retryAt: Date.now() + delay };
    this.#retry = setTimeout(() => this.connect(), delay);
  }

  #take(text: string): void {
    const events = JSON.parse(text) as WireEvent[];
    const now = Date.now();
    this.#failures = 0;
    this.received.value += events.length;
    batch(() => {
      for (const event of events) this.#apply(event, now);
    });
  }

  #apply(event: WireEvent, now: number): void {
    const link = this.link.value;
    switch (event.type) {
      case 'connection.event':
      case 'connection.accepted':
        this.#table.apply(event, now);
        if (link.state === 'snapshot' || link.state === 'waiting') {
          const received = link.state === 'snapshot' ? link.received + 1 : 1;
          this.link.value = { state: 'snapshot', received };
        }
        break;
      case 'host.info':
        this.link.value = { state: 'snapshot', received: 0 };
        break;
      case 'snapshot.complete':
        this.#table.complete(event.nodeName);
        this.link.value = { state: 'live' };
        break;
      case 'stream.lagged':
        this.#lagged(event);
        break;
      case 'node.up':
      case 'node.down':
      case 'node.lost': {
        const down = new Map(this.nodesDown.value);
        if (event.type === 'node.up') down.delete(event.nodeName);
        else down.set(event.nodeName, event.reason ?? 'no reason given');
        this.nodesDown.value = down;
        break;
      }
    }
  }

  /** Losses before the enricher are mended by its own events; those after it by a snapshot. */
  #lagged(event: WireEvent): void {
    const place = event.place ?? 'unknown';
    if (event.dropped === undefined) this.lostUncounted.value += 1;
    const known = this.lost.value[place] ?? 0;
    this.lost.value = { ...this.lost.value, [place]: known + (event.dropped ?? 0) };
    this.#table.begin(event.nodeName);
    if (place === 'client' || place === 'bus') this.link.value = { state: 'behind' };
  }
}
