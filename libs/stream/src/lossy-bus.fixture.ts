import { BusError } from '@netstatd/bus';
import type { StreamBus } from './bus.ts';

type Handler = Parameters<StreamBus['subscribe']>[1];

/** What the next messages suffer. */
export interface Weather {
  /** Messages of the live stream that get lost, and that come twice. */
  loseBatches: number;
  repeatBatches: number;
  losePages: number;
  loseRequests: number;
  /** How much later than live messages the pages come, in milliseconds. */
  pageDelayMs: number;
}

/**
 * A bus within the process that loses, repeats and delays what it is told to; like NATS it never
 * changes the order of one publisher's messages on one subject. Time is jest's.
 */
export class LossyBus implements StreamBus {
  readonly weather: Weather = {
    loseBatches: 0,
    repeatBatches: 0,
    losePages: 0,
    loseRequests: 0,
    pageDelayMs: 0,
  };
  readonly connected = true;
  readonly #handlers = new Map<string, Set<Handler>>();
  #inboxes = 0;

  onChange(): () => void {
    return () => undefined;
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  subscribe(subject: string, handler: Handler): { close: () => void } {
    const handlers = this.#handlers.get(subject) ?? new Set();
    this.#handlers.set(subject, handlers.add(handler));
    return { close: () => handlers.delete(handler) };
  }

  publish(subject: string, payload: Uint8Array): boolean {
    if (subject.endsWith('.events') && this.#strikes('loseBatches')) return true;
    this.#deliver(subject, payload, 1);
    if (this.#strikes('repeatBatches')) this.#deliver(subject, payload, 1);
    return true;
  }

  respond(reply: string, payload: Uint8Array): boolean {
    if (!this.#strikes('losePages')) this.#deliver(reply, payload, 1 + this.weather.pageDelayMs);
    return true;
  }

  async *requestMany(
    subject: string,
    payload: Uint8Array,
    { timeoutMs }: { timeoutMs: number },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const inbox = `inbox.${this.#inboxes++}`;
    const pages: Uint8Array[] = [];
    let wake = (): void => undefined;
    const { close } = this.subscribe(inbox, (page) => {
      pages.push(page);
      wake();
    });
    try {
      if (!this.#strikes('loseRequests')) this.#deliver(subject, payload, 1, inbox);
      for (;;) {
        if (pages.length === 0)
          await new Promise<void>((resolve) => {
            wake = resolve;
            setTimeout(resolve, timeoutMs);
          });
        const page = pages.shift();
        if (!page) throw new BusError('TIMEOUT', 'no answer');
        yield page;
      }
    } finally {
      close();
    }
  }

  #strikes(what: Exclude<keyof Weather, 'pageDelayMs'>): boolean {
    if (this.weather[what] === 0) return false;
    this.weather[what]--;
    return true;
  }

  #deliver(subject: string, payload: Uint8Array, delayMs: number, reply?: string): void {
    setTimeout(() => {
      const everyNode = subject.replace(/^netstatd\.[^.]+/, 'netstatd.*');
      for (const pattern of new Set([subject, everyNode]))
        for (const handler of this.#handlers.get(pattern) ?? []) handler(payload, subject, reply);
    }, delayMs);
  }
}
