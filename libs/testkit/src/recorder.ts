import { eventSchemas, type ConnectionEvent, type NetstatdEvent } from '@netstatd/events';
import WebSocket from 'ws';
import { ProtocolCheck } from './protocol.ts';
import { PATIENCE_MS, waitFor } from './wait.ts';

/** Filters of a WebSocket client, as in its address. */
export type Query = Record<string, string | string[]>;

export interface RecorderOptions {
  /** Ask for arrays of events in a frame. */
  batch?: boolean;
  view?: 'gateway' | 'cluster';
}

export const isConnection = (event: NetstatdEvent): event is ConnectionEvent =>
  event.type === 'connection.event' || event.type === 'connection.accepted';

/** The address with a query's parameters, each repeated for each of its values. */
export function withQuery(url: string, query: Query): string {
  const address = new URL(url);
  for (const [name, values] of Object.entries(query))
    for (const value of [values].flat()) address.searchParams.append(name, value);
  return address.href;
}

/**
 * A WebSocket client that keeps every event, each held against its schema and against the protocol.
 */
export class Recorder {
  readonly events: NetstatdEvent[] = [];
  readonly #problems: string[] = [];
  #checked = 0;
  readonly #socket: WebSocket;
  readonly #check: ProtocolCheck;
  #closed = '';

  private constructor(url: string, query: Query, batch: boolean) {
    const filtered = Object.keys(query).some((name) => name !== 'snapshot');
    this.#check = new ProtocolCheck({
      announced: !filtered,
      snapshot: query.snapshot !== 'false',
    });
    this.#socket = new WebSocket(withQuery(url, query), batch ? ['netstatd.v1.batch'] : []);
    this.#socket.on('message', (data: Buffer) => this.#take(data.toString()));
    this.#socket.on('close', (code) => (this.#closed = `closed with ${code}`));
    this.#socket.on('error', (error) => (this.#closed ||= error.message));
  }

  /** Connects, and waits for the opening to be complete unless it was not asked for. */
  static async open(
    url: string,
    query: Query = {},
    options: RecorderOptions = {},
  ): Promise<Recorder> {
    const recorder = new Recorder(url, query, options.batch ?? false);
    if (query.snapshot === 'false') await waitFor('the WebSocket', () => recorder.#isOpen());
    else await recorder.waitFor('snapshot.complete', ({ type }) => type === 'snapshot.complete');
    return recorder;
  }

  #isOpen(): boolean {
    if (this.#closed) throw new Error(this.#closed);
    return this.#socket.readyState === WebSocket.OPEN;
  }

  #take(text: string): void {
    const frame = JSON.parse(text) as NetstatdEvent | NetstatdEvent[];
    if (Array.isArray(frame)) for (const event of frame) this.events.push(event);
    else this.events.push(frame);
  }

  /**
   * Events against the schemas or the rules, in words; a test expects none. They are checked here
   * and not as they come, so that checking makes no client slow.
   */
  get problems(): string[] {
    for (; this.#checked < this.events.length; this.#checked++) {
      const event = this.events[this.#checked]!;
      // An event of a type we do not know has no schema, whatever its type says.
      const schema = eventSchemas[event.type] as (typeof eventSchemas)['host.info'] | undefined;
      const checked = schema?.safeParse(event);
      if (!checked?.success && this.#problems.length < 20)
        this.#problems.push(
          `${JSON.stringify(event)}: ${checked?.error.message ?? 'unknown type'}`,
        );
      this.#check.take(event);
    }
    return [...this.#problems, ...this.#check.problems];
  }

  /** What to know of it when a test has waited in vain. */
  get story(): string {
    const told = this.events.filter(({ type }) => type === 'stream.lagged').slice(0, 5);
    return `${this.events.length} events; losses told: ${JSON.stringify(told)}`;
  }

  /** Waits for an event at or after the given position. */
  waitFor(
    what: string,
    which: (event: NetstatdEvent) => boolean,
    options: { from?: number; timeoutMs?: number } = {},
  ): Promise<NetstatdEvent> {
    let next = options.from ?? 0;
    const search = () => {
      for (; next < this.events.length; next++) {
        const event = this.events[next];
        if (event && which(event)) return event;
      }
      if (this.#closed) throw new Error(`${this.#closed} before ${what}`);
      return undefined;
    };
    return waitFor(what, search, options.timeoutMs ?? PATIENCE_MS).catch((error: unknown) => {
      throw new Error(`${String(error)} (${this.story})`);
    });
  }

  /** Connection events, in the order they came. */
  connections(which: (event: ConnectionEvent) => boolean): ConnectionEvent[] {
    return this.events.filter(
      (event): event is ConnectionEvent => isConnection(event) && which(event),
    );
  }

  /** Stops reading, as a client that hangs; the kernel's buffers fill up behind it. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.terminate();
  }
}
