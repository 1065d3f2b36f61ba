import { retryDelayMs } from '@netstatd/bus';
import type { NetstatdEvent, StreamLagged } from '@netstatd/events';
import { BATCH_SUBPROTOCOL } from '@netstatd/events';
import WebSocket from 'ws';
import { readFrame } from './frame.ts';
import { refusalOf } from './refusal.ts';

export interface ConntrackHandlers {
  /** Every event, in the order of the frames. */
  readonly onEvent: (event: NetstatdEvent) => void;
  /** Events were missed; with the opening state wanted, it comes again. After `onEvent`. */
  readonly onLagged?: (lagged: StreamLagged) => void;
  /** Connected, the first time or again; what is told follows from the opening state on. */
  readonly onOpen?: () => void;
  /** Not connected, or no more; the next try is in `retryInMs`. Events until then are missed. */
  readonly onClose?: (reason: string, retryInMs: number) => void;
  /**
   * The gateway will not have this request (a filter that is none, no right to it): there is no
   * next try. Without this handler it is told by `onClose` and tried again.
   */
  readonly onRefused?: (reason: string, status: number) => void;
}

export interface ConntrackOptions {
  /** Frames of many events: cheaper, and at most 50 ms later. */
  readonly batch?: boolean;
  /** A gateway that was not heard for so long, in milliseconds, is gone. */
  readonly silenceMs?: number;
}

/** Since the start. */
export interface ConntrackCounters {
  events: number;
  /** Frames, or events in them, that were none. */
  malformed: number;
  connects: number;
}

/** A WebSocket that is kept open until it is closed. */
export interface Conntrack {
  readonly counters: Readonly<ConntrackCounters>;
  close(): void;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;
const SILENCE_MS = 30_000;
/** A frame of 50 ms at a million events a second is about so large. */
const MAX_FRAME_BYTES = 32 << 20;

/**
 * Follows a gateway's `/conntrack`. `filter` are its parameters (docs: WebSocket), added to those
 * of `url`. Returns at once; reconnects by itself, with growing random delays, until closed.
 * Throws a RangeError on a URL that is none of a WebSocket.
 */
export function openConntrack(
  url: string,
  filter: Iterable<readonly [name: string, value: string]>,
  options: ConntrackHandlers & ConntrackOptions,
): Conntrack {
  return new ConntrackSocket(conntrackUrl(url, filter), options);
}

function conntrackUrl(url: string, filter: Iterable<readonly [string, string]>): URL {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new RangeError('the URL is not of the form ws://host:port/conntrack');
  }
  if (parsed.protocol !== 'ws:' && parsed.protocol !== 'wss:')
    throw new RangeError(`the URL begins with ${parsed.protocol} instead of ws: or wss:`);
  for (const [name, value] of filter) parsed.searchParams.append(name, value);
  return parsed;
}

class ConntrackSocket implements Conntrack {
  readonly counters: ConntrackCounters = { events: 0, malformed: 0, connects: 0 };
  readonly #url: URL;
  readonly #options: ConntrackHandlers & ConntrackOptions;
  #socket: WebSocket | undefined;
  #closed = false;
  #attempt = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(url: URL, options: ConntrackHandlers & ConntrackOptions) {
    this.#url = url;
    this.#options = options;
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#socket?.terminate();
  }

  #connect(): void {
    const { batch = false, silenceMs = SILENCE_MS } = this.#options;
    const socket = new WebSocket(this.#url, batch ? [BATCH_SUBPROTOCOL] : [], {
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxPayload: MAX_FRAME_BYTES,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    let failure: string | undefined;
    let heard = true;
    // Asked and not heard for a whole interval: between one and two of them, `silenceMs` in all.
    const pulse = setInterval(() => {
      if (heard) {
        heard = false;
        if (socket.readyState === WebSocket.OPEN) socket.ping();
      } else {
        failure = 'the gateway fell silent';
        socket.terminate();
      }
    }, silenceMs / 2);
    socket.on('open', () => {
      heard = true;
      this.counters.connects++;
      this.#options.onOpen?.();
    });
    socket.on('ping', () => (heard = true));
    socket.on('pong', () => (heard = true));
    socket.on('message', (data, isBinary) => {
      heard = true;
      this.#attempt = 0;
      this.#take(isBinary || !Buffer.isBuffer(data) ? '' : data.toString());
    });
    socket.on('error', (error) => (failure ??= error.message));
    socket.on('unexpected-response', (_request, response) => {
      void refusalOf(response).then(({ reason, status, final }) => {
        failure = reason;
        const { onRefused } = this.#options;
        if (final && !this.#closed && onRefused) {
          this.#closed = true;
          onRefused(reason, status);
        }
        socket.terminate();
      });
    });
    socket.on('close', (code, reason) => {
      clearInterval(pulse);
      this.#retryAfter(failure ?? (reason.toString() || `the connection was closed (${code})`));
    });
  }

  #take(text: string): void {
    const { onEvent, onLagged } = this.#options;
    const { events, malformed } = readFrame(text);
    this.counters.malformed += malformed;
    for (const event of events) {
      if (this.#closed) return;
      this.counters.events++;
      onEvent(event);
      if (event.type === 'stream.lagged') onLagged?.(event);
    }
  }

  #retryAfter(reason: string): void {
    if (this.#closed) return;
    const delayMs = retryDelayMs(this.#attempt++);
    this.#retry = setTimeout(() => this.#connect(), delayMs);
    this.#options.onClose?.(reason, delayMs);
  }
}
