import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { StartError } from './start-error.ts';
import type { Metrics } from './metrics.ts';
import { sendProblem } from './problem.ts';
import type { Readiness } from './readiness.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** The answers of `/healthz`, `/readyz` and `/metrics`, for any HTTP server or express. */
export interface HealthHandlers {
  /** The process lives: always 200. */
  healthz: Handler;
  /** It can do its job: 200, with notes on what it lacks; or 503 with the reasons. */
  readyz: Handler;
  metrics: Handler;
}

export function healthHandlers(ready: Readiness, metrics: Metrics): HealthHandlers {
  return {
    healthz: (_request, response) => sendJson(response, { status: 'ok' }),
    readyz: (_request, response) => {
      const notes = ready.notes();
      const said = Object.keys(notes).length > 0 && { notes };
      if (ready.ready) sendJson(response, { status: 'ready', ...said });
      else sendProblem(response, { status: 503, detail: 'not ready', reasons: ready.reasons() });
    },
    metrics: (_request, response) => {
      metrics.text().then(
        (text) => response.setHeader('content-type', metrics.contentType).end(text),
        (error: unknown) => sendProblem(response, { status: 500, detail: String(error) }),
      );
    },
  };
}

function sendJson(response: ServerResponse, body: object): void {
  response.setHeader('content-type', 'application/json').setHeader('cache-control', 'no-store');
  response.end(JSON.stringify(body));
}

/** The health server of one service; only this machine can reach it. */
export class HealthServer {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** @throws StartError when the port is taken. */
  static async listen(handlers: HealthHandlers, port: number): Promise<HealthServer> {
    const routes = new Map(Object.entries(handlers as unknown as Record<string, Handler>));
    const server = createServer((request, response) => {
      const path = (request.url ?? '').split('?', 1)[0] ?? '';
      const handler = routes.get(path.slice(1));
      if (!handler) {
        sendProblem(response, { status: 404, detail: 'paths: /healthz, /readyz, /metrics' });
      } else if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('allow', 'GET, HEAD');
        sendProblem(response, { status: 405, detail: 'only GET and HEAD are answered' });
      } else handler(request, response);
    });
    server.requestTimeout = server.headersTimeout = 5000;
    server.maxConnections = 64;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(listenError(error, '127.0.0.1', port)));
      server.listen(port, '127.0.0.1', resolve);
    });
    return new HealthServer(server);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** What a failed `listen` means and what to do, in one line. */
export function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (error.code === 'EADDRINUSE') {
    return new StartError(`${where} is taken by another program; stop it or set another port`);
  }
  if (error.code === 'EACCES') {
    return new StartError(`not allowed to listen on ${where}; use a port above 1023`);
  }
  return new StartError(`cannot listen on ${where}: ${error.message}`);
}
