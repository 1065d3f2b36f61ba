import type { Msg, NatsConnection, Subscription } from 'nats';
import { createInbox } from 'nats';
import { BusError } from './error.ts';

export interface PageLimits {
  /** Longest wait for the next answer, in milliseconds. */
  readonly timeoutMs: number;
  /** Answers to one request. */
  readonly maxPages?: number;
  /** Bytes that wait to be read by the asker. */
  readonly maxQueuedBytes?: number;
}

const MAX_PAGES = 1 << 16;
const MAX_QUEUED_BYTES = 64 << 20;

/** The answers to one request, at an inbox of its own. */
export class Pages {
  readonly inbox = createInbox();
  readonly #subscription: Subscription;
  readonly #nats: NatsConnection;
  readonly #subject: string;
  readonly #limits: PageLimits;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #pages = 0;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(nats: NatsConnection, subject: string, limits: PageLimits) {
    this.#nats = nats;
    this.#subject = subject;
    this.#limits = limits;
    this.#subscription = nats.subscribe(this.inbox, {
      callback: (error, message) => {
        if (error) this.fail(error);
        else this.#receive(message);
      },
    });
  }

  /** The next answer; rejects with a {@link BusError}. */
  async next(): Promise<Uint8Array> {
    if (this.#queue.length === 0 && !this.#failure) await this.#arrival();
    const page = this.#queue.shift();
    if (page) {
      this.#queuedBytes -= page.length;
      return page;
    }
    throw (
      this.#failure ??
      new BusError(
        'TIMEOUT',
        `no answer on ${this.#subject} within ${this.#limits.timeoutMs} ms, after ${this.#pages}`,
      )
    );
  }

  /** Ends the answers; those that are queued can still be read. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  close(): void {
    if (!this.#nats.isClosed()) this.#subscription.unsubscribe();
  }

  #receive(message: Msg): void {
    if (this.#failure) return;
    // The server's own answer when nobody subscribes the subject.
    if (message.data.length === 0 && message.headers?.code === 503) {
      this.fail(new BusError('NO_RESPONDER', `nobody answers on ${this.#subject}`));
      return;
    }
    const { maxPages = MAX_PAGES, maxQueuedBytes = MAX_QUEUED_BYTES } = this.#limits;
    this.#pages++;
    this.#queuedBytes += message.data.length;
    if (this.#pages > maxPages || this.#queuedBytes > maxQueuedBytes) {
      this.fail(new BusError('TOO_LARGE', `the answers on ${this.#subject} exceed the limits`));
      return;
    }
    this.#queue.push(message.data);
    this.#wake?.();
  }

  async #arrival(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#limits.timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}
