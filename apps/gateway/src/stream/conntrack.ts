import { BATCH_SUBPROTOCOL, parseFilter, type Filter } from '@netstatd/events';
import { problemJson, type Problem } from '@netstatd/service';
import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { badParameter, ProblemError } from '../rest/problems.ts';
import type { View } from '../view.ts';
import { Client } from './client.ts';
import { BatchOutbox, EventOutbox, type FrameClock, type OutboxCounters } from './outbox.ts';
import type { SessionCounters } from './session.ts';
import type { Turns } from './turns.ts';

/** Clients have nothing to say but control frames. */
const maxPayloadBytes = 1024;

export interface ConntrackCounters extends OutboxCounters, SessionCounters {
  /** Upgrades refused: by a bad parameter, a foreign origin, or because there are too many. */
  refused: number;
}

export interface ConntrackOptions {
  readonly view: View;
  readonly clock: FrameClock;
  readonly counters: ConntrackCounters;
  readonly turns: Turns;
  readonly maxClients: number;
}

/** The WebSocket side of one listener. */
export class Conntrack {
  readonly #options: ConntrackOptions;
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: maxPayloadBytes,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(BATCH_SUBPROTOCOL) ? BATCH_SUBPROTOCOL : false),
  });
  readonly #clients = new Set<Client>();

  constructor(options: ConntrackOptions) {
    this.#options = options;
    this.#server.on('wsClientError', (error, socket) =>
      this.#refuse(socket, { status: 400, detail: error.message }),
    );
  }

  /** Handles an HTTP upgrade: a WebSocket, or a problem document before anything is upgraded. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const ignore = () => undefined;
    socket.on('error', ignore);
    let filter: Filter;
    try {
      filter = this.#admit(request);
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      this.#refuse(socket, error.problem, error.headers);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      socket.off('error', ignore);
      this.#welcome(webSocket, filter);
    });
  }

  /** Tells every client that the gateway stops. */
  close(): void {
    for (const client of this.#clients) client.close();
  }

  /** Ends those that did not answer `close`. */
  terminate(): void {
    for (const client of this.#clients) client.terminate();
  }

  #welcome(socket: WebSocket, filter: Filter): void {
    const { view, clock, counters, turns } = this.#options;
    const outbox =
      socket.protocol === BATCH_SUBPROTOCOL
        ? new BatchOutbox(socket, counters, clock)
        : new EventOutbox(socket, counters);
    const client = new Client({ socket, view, filter, outbox, counters, turns });
    this.#clients.add(client);
    socket.once('close', () => this.#clients.delete(client));
  }

  /** The filter of a request that may be upgraded. @throws ProblemError why it may not */
  #admit(request: IncomingMessage): Filter {
    const url = parseUrl(request.url ?? '', 'http://gateway');
    if (url?.pathname !== '/conntrack') {
      throw new ProblemError({ status: 404, detail: 'the WebSocket is at /conntrack' });
    }
    if (!sameOrigin(request)) {
      const detail = 'a page of another origin may not read connections';
      throw new ProblemError({ status: 403, detail });
    }
    const parsed = parseFilter(url.searchParams);
    if ('error' in parsed) {
      const { parameter, value, allowed } = parsed.error;
      throw badParameter(parameter, value, allowed);
    }
    if (this.#clients.size >= this.#options.maxClients) {
      const detail = `all ${this.#options.maxClients} places for clients are taken`;
      throw new ProblemError({ status: 503, detail }, { 'retry-after': '10' });
    }
    return parsed.filter;
  }

  #refuse(socket: Duplex, problem: Problem, headers: Readonly<Record<string, string>> = {}): void {
    this.#options.counters.refused += 1;
    const body = problemJson(problem);
    const lines = [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
      'connection: close',
      'content-type: application/problem+json',
      `content-length: ${Buffer.byteLength(body)}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ];
    socket.once('finish', () => socket.destroy());
    socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
  }
}

const parseUrl = (text: string, base?: string): URL | undefined =>
  URL.canParse(text, base) ? new URL(text, base) : undefined;

/** Programs send no Origin; a browser sends that of the page, which must be this very host. */
function sameOrigin({ headers }: IncomingMessage): boolean {
  const { origin, host } = headers;
  return origin === undefined || parseUrl(origin)?.host === host?.toLowerCase();
}
