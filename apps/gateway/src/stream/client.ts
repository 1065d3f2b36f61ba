import { makeRow, rowToJson, type Filter } from '@netstatd/events';
import type { WebSocket } from 'ws';
import type { NodeChange, View } from '../view.ts';
import type { Outbox } from './outbox.ts';
import { Session, type SessionCounters, type SessionOptions } from './session.ts';
import type { Turns } from './turns.ts';

/** How often a client is asked for a sign of life. */
const pingEveryMs = 30_000;
/** A client that left so many pings unanswered is gone, or will never read again. */
const maxSilentPings = 3;

/** One WebSocket: follows every node of its view that its filter wants. */
export class Client {
  readonly #socket: WebSocket;
  readonly #view: View;
  readonly #filter: Filter;
  readonly #outbox: Outbox;
  readonly #options: Omit<SessionOptions, 'source'>;
  readonly #sessions = new Map<string, Session>();
  readonly #unfollow: () => void;
  readonly #ping: NodeJS.Timeout;
  #silentPings = 0;

  constructor(options: {
    readonly socket: WebSocket;
    readonly view: View;
    readonly filter: Filter;
    readonly outbox: Outbox;
    readonly counters: SessionCounters;
    readonly turns: Turns;
  }) {
    this.#options = options;
    this.#socket = options.socket;
    this.#view = options.view;
    this.#filter = options.filter;
    this.#outbox = options.outbox;
    this.#ping = setInterval(() => this.#checkLife(), pingEveryMs);
    this.#socket.on('pong', () => (this.#silentPings = 0));
    // Errors (a frame that is too large, a reset) are followed by the close event.
    this.#socket.on('error', () => undefined);
    this.#socket.once('close', () => this.#end());
    this.#unfollow = this.#view.follow((change) => this.#onChange(change));
    for (const change of this.#view.present()) this.#onChange(change);
  }

  /** Says goodbye: the gateway is going away (RFC 6455 7.4.1). */
  close(): void {
    this.#socket.close(1001, 'the gateway is stopping');
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #onChange(change: NodeChange): void {
    const { node, type } = change;
    if (this.#view.kind === 'cluster') {
      const { reason } = change;
      const fields = { timestamp: Date.now() * 1000, ...(reason === undefined ? {} : { reason }) };
      const row = makeRow(type, fields);
      if (this.#filter.matches(row, node)) this.#outbox.write(rowToJson(row, node));
    }
    // A lost node is still followed: it goes on, or starts anew, where its stream says.
    if (type !== 'node.up' || this.#sessions.has(node) || !this.#filter.wantsNode(node)) return;
    const source = this.#view.source(node);
    this.#sessions.set(node, new Session({ ...this.#options, source }));
  }

  #checkLife(): void {
    this.#silentPings += 1;
    if (this.#silentPings > maxSilentPings) this.#socket.terminate();
    else this.#socket.ping();
  }

  #end(): void {
    clearInterval(this.#ping);
    this.#unfollow();
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
  }
}
