import type { Msg, NatsConnection, Subscription as NatsSubscription } from 'nats';
import { connect, DebugEvents, Events } from 'nats';
import { BusError } from './error.ts';
import type { BusLog } from './log.ts';
import { quietLog } from './log.ts';
import type { PageLimits } from './pages.ts';
import { Pages } from './pages.ts';
import { Pending } from './pending.ts';
import { retryDelayMs } from './retry.ts';
import type { BusAddress } from './url.ts';
import { parseBusUrl } from './url.ts';

export interface BusOptions {
  /** As {@link parseBusUrl} reads it. */
  readonly url: string;
  /** Shown by the server for this connection. */
  readonly name: string;
  readonly log?: BusLog;
  /** Bytes given to the server and not yet taken by it; beyond them a publish is dropped. */
  readonly maxPendingBytes?: number;
}

/** Counters since the start; bytes are those of payloads. */
export interface BusStats {
  publishedMessages: number;
  publishedBytes: number;
  receivedMessages: number;
  receivedBytes: number;
  /** Messages not published because the bus was away, was slow, or has a lower size limit. */
  droppedDisconnected: number;
  droppedPending: number;
  droppedTooLarge: number;
  /** Connections lost, also those that the server closed because this reader was slow. */
  disconnects: number;
  /** Messages whose handler threw. */
  handlerErrors: number;
}

/** `payload` may be kept, it is not written again. `reply` is there when an answer is expected. */
export type MessageHandler = (payload: Uint8Array, subject: string, reply?: string) => void;

export interface Subscription {
  close(): void;
}

interface LiveSubscription {
  readonly subject: string;
  readonly handler: MessageHandler;
  nats?: NatsSubscription;
}

/** Of the server's connection: a dead peer is noticed after about three of these. */
const PING_INTERVAL_MS = 5000;
const CONNECT_TIMEOUT_MS = 5000;
const MAX_PENDING_BYTES = 32 << 20;

/**
 * One connection to the bus, kept for as long as the process wants it: whoever holds it
 * subscribes and publishes at any time, whether the server is there or not.
 *
 * Handlers run synchronously while the connection is read, so nothing queues up in this process:
 * a slow one holds TCP back, and a server that tires of it closes the connection, which
 * {@link BusStats.disconnects} counts and the stream's sequence numbers reveal.
 */
export class Bus {
  readonly #address: BusAddress;
  readonly #name: string;
  readonly #log: BusLog;
  readonly #subscriptions = new Set<LiveSubscription>();
  readonly #listeners = new Set<(connected: boolean) => void>();
  readonly #pages = new Set<Pages>();
  readonly #pending: Pending;
  readonly #stats: BusStats = {
    publishedMessages: 0,
    publishedBytes: 0,
    receivedMessages: 0,
    receivedBytes: 0,
    droppedDisconnected: 0,
    droppedPending: 0,
    droppedTooLarge: 0,
    disconnects: 0,
    handlerErrors: 0,
  };
  #nats: NatsConnection | undefined;
  #connected = false;
  #closing = false;
  #wake: (() => void) | undefined;
  #attempts = 0;
  #reconnectDelayMs = 0;

  /** Use {@link connectBus}. */
  constructor(options: BusOptions) {
    this.#address = parseBusUrl(options.url);
    this.#name = options.name;
    this.#log = options.log ?? quietLog;
    this.#pending = new Pending(options.maxPendingBytes ?? MAX_PENDING_BYTES);
    void this.#keepConnected();
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Largest payload the server takes, in bytes. */
  get maxPayload(): number {
    return this.#nats?.info?.max_payload ?? 1 << 20;
  }

  stats(): Readonly<BusStats & { pendingBytes: number }> {
    return { ...this.#stats, pendingBytes: this.#pending.bytes };
  }

  /**
   * Hands a message to the server; the bytes belong to the bus from here on and must not be
   * written again. False, and counted, when it was dropped: the bus is away or does not take as
   * much as is published.
   */
  publish(subject: string, payload: Uint8Array): boolean {
    return this.#send(subject, payload);
  }

  /** Answers a request on its `reply` subject, with the bounds of {@link publish}. */
  respond(reply: string, payload: Uint8Array): boolean {
    return this.#send(reply, payload);
  }

  /** Resolves when the server has taken all that was published; rejects when the bus is away. */
  async flush(): Promise<void> {
    if (!this.#nats || !this.#connected) throw new BusError('DISCONNECTED', 'the bus is away');
    await this.#pending.flush(this.#nats);
  }

  /** Calls `handler` for each message on `subject`, across reconnects, until closed. */
  subscribe(subject: string, handler: MessageHandler): Subscription {
    const live: LiveSubscription = { subject, handler };
    this.#subscriptions.add(live);
    this.#attach(live);
    return {
      close: () => {
        this.#subscriptions.delete(live);
        live.nats?.unsubscribe();
      },
    };
  }

  /**
   * Sends a request and yields its answers until the caller stops iterating. Throws a
   * {@link BusError} when nobody serves the subject, when `idleMs` pass without an answer, when
   * the bus goes away, or when answers exceed the limits.
   */
  async *requestMany(
    subject: string,
    payload: Uint8Array,
    limits: PageLimits,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (!this.#nats || !this.#connected) throw new BusError('DISCONNECTED', 'the bus is away');
    const pages = new Pages(this.#nats, subject, limits);
    this.#pages.add(pages);
    try {
      if (!this.#send(subject, payload, pages.inbox))
        throw new BusError('DISCONNECTED', 'the bus does not take the request');
      for (;;) {
        const page = await pages.next();
        this.#stats.receivedMessages++;
        this.#stats.receivedBytes += page.length;
        yield page;
      }
    } finally {
      this.#pages.delete(pages);
      pages.close();
    }
  }

  /** Calls `listener` at each change of {@link connected}; the returned function ends that. */
  onChange(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Gives what is published `timeoutMs` to leave, then ends the connection for good. */
  async close(timeoutMs = 1000): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#wake?.();
    const nats = this.#nats;
    if (!nats) return;
    if (this.#connected) await within(timeoutMs, this.#pending.flush(nats));
    await within(timeoutMs, nats.close());
    this.#setConnected(false);
  }

  #send(subject: string, payload: Uint8Array, reply?: string): boolean {
    const stats = this.#stats;
    const nats = this.#nats;
    if (!nats || !this.#connected || nats.isClosed()) {
      stats.droppedDisconnected++;
      return false;
    }
    if (payload.length > this.maxPayload) {
      if (stats.droppedTooLarge++ === 0)
        this.#log.warn(
          { subject, bytes: payload.length, limit: this.maxPayload },
          'a message is larger than the bus takes and was dropped',
        );
      return false;
    }
    if (!this.#pending.add(payload.length)) {
      stats.droppedPending++;
      return false;
    }
    nats.publish(subject, payload, reply === undefined ? undefined : { reply });
    stats.publishedMessages++;
    stats.publishedBytes += payload.length;
    this.#pending.flushEnough(nats);
    return true;
  }

  #attach(live: LiveSubscription): void {
    if (!this.#nats || this.#nats.isClosed()) return;
    live.nats = this.#nats.subscribe(live.subject, {
      callback: (error, message) => {
        if (error) this.#log.warn({ subject: live.subject, err: error }, 'a subscription failed');
        else this.#deliver(live, message);
      },
    });
  }

  #deliver(live: LiveSubscription, message: Msg): void {
    if (!this.#subscriptions.has(live)) return;
    this.#stats.receivedMessages++;
    this.#stats.receivedBytes += message.data.length;
    try {
      // The client's empty string means that no answer is expected.
      live.handler(message.data, message.subject, message.reply === '' ? undefined : message.reply);
    } catch (error) {
      if (this.#stats.handlerErrors++ === 0)
        this.#log.warn({ subject: live.subject, err: error }, 'a message was not handled');
    }
  }

  /**
   * Connects until closed. The first connection is retried here, because the client's own
   * waitOnFirstConnect cannot be ended; later ones are the client's work, and should it give a
   * connection up, this begins again.
   */
  async #keepConnected(): Promise<void> {
    const { servers, tls, ...login } = this.#address;
    let warned = false;
    while (!this.#closing) {
      try {
        const nats = await connect({
          servers,
          ...login,
          ...(tls ? { tls: {} } : {}),
          name: this.#name,
          timeout: CONNECT_TIMEOUT_MS,
          pingInterval: PING_INTERVAL_MS,
          maxReconnectAttempts: -1,
          reconnectDelayHandler: () => this.#reconnectDelayMs,
          ignoreAuthErrorAbort: true,
          noAsyncTraces: true,
        });
        warned = false;
        await this.#serve(nats);
      } catch (error) {
        const delayMs = retryDelayMs(this.#attempts++);
        if (!warned) this.#log.warn({ servers, err: error }, 'the bus is away, trying again');
        warned = true;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, delayMs);
          this.#wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    }
  }

  /** Follows one client until it is closed for good. */
  async #serve(nats: NatsConnection): Promise<void> {
    if (this.#closing) return nats.close();
    this.#nats = nats;
    for (const live of this.#subscriptions) this.#attach(live);
    this.#setConnected(true);
    for await (const { type, data } of nats.status()) {
      if (type === Events.Disconnect) {
        this.#setConnected(false);
      } else if (type === DebugEvents.Reconnecting) {
        this.#reconnectDelayMs = retryDelayMs(this.#attempts++);
      } else if (type === Events.Reconnect) {
        this.#setConnected(true);
      } else if (type === Events.Error) {
        this.#log.warn({ code: data }, 'the bus reports an error');
      }
    }
    this.#setConnected(false);
  }

  #setConnected(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    this.#attempts = 0;
    this.#reconnectDelayMs = retryDelayMs(0);
    const { servers } = this.#address;
    if (connected) {
      this.#log.info({ servers }, 'connected to the bus');
    } else {
      this.#stats.disconnects++;
      this.#pending.reset();
      for (const pages of this.#pages)
        pages.fail(new BusError('DISCONNECTED', 'the bus went away during a request'));
      if (!this.#closing) this.#log.warn({ servers }, 'lost the bus, trying again');
    }
    for (const listener of this.#listeners) listener(connected);
  }
}

/** Waits for `work` to end, well or not, but not longer than `timeoutMs`. */
async function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)));
  await Promise.race([work.catch(() => undefined), timeout]);
  clearTimeout(timer);
}

/**
 * Opens the bus. Resolves at once, whether the server is there or not: {@link Bus.connected} and
 * {@link Bus.onChange} tell. Rejects with a RangeError on a URL that {@link parseBusUrl} refuses.
 */
// eslint-disable-next-line @typescript-eslint/require-await -- a bad URL rejects, as callers expect
export async function connectBus(options: BusOptions): Promise<Bus> {
  return new Bus(options);
}
