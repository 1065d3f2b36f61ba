import { shorten } from '@netstatd/events';
import { sendProblem, type Log } from '@netstatd/service';
import express, { type ErrorRequestHandler, type Express } from 'express';
import helmet from 'helmet';
import type { ServerResponse } from 'node:http';
import { ProblemError } from './problems.ts';
import { restHandlers, type RestOptions } from './routes.ts';

/** Nothing but the page's own files, and no inline script or style. */
const policy = {
  'default-src': ["'none'"],
  'base-uri': ["'none'"],
  'connect-src': ["'self'"],
  'form-action': ["'none'"],
  'frame-ancestors': ["'none'"],
  'img-src': ["'self'", 'data:'],
  'script-src': ["'self'"],
  'style-src': ["'self'"],
};

export interface AppOptions extends RestOptions {
  /** Folder of the page's files; a folder that is not there is a page that is not there. */
  readonly uiFolder: string;
  readonly log: Log;
}

/** The HTTP side of one listener: REST, documents, health, and the page. */
export function createApp(options: AppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  // Parameters are read from the URL itself, by the reader that also serves the WebSocket.
  app.set('query parser', false);
  app.set('case sensitive routing', true);
  app.set('strict routing', true);
  app.use(
    helmet({
      contentSecurityPolicy: { useDefaults: false, directives: policy },
      // Plain HTTP until TLS is configured: the browser must not be told otherwise.
      strictTransportSecurity: false,
    }),
  );
  for (const [path, handler] of restHandlers(options)) {
    app.get(path, async (request, response) => {
      const { searchParams } = new URL(request.url, 'http://gateway');
      await handler({ parameters: searchParams, request, response });
    });
    app.all(path, (_request, response) => refuseMethod(response));
  }
  app.get('/conntrack', (_request, response) => {
    response.setHeader('upgrade', 'websocket');
    sendProblem(response, { status: 426, detail: '/conntrack is a WebSocket' });
  });
  app.all('/conntrack', (_request, response) => refuseMethod(response));
  const files = express.static(options.uiFolder, { redirect: false, etag: true });
  app.use((request, response, next) => {
    if (request.method === 'GET' || request.method === 'HEAD') files(request, response, next);
    else if (request.path === '/') refuseMethod(response);
    else next();
  });
  app.use((request, response) => {
    const detail = `nothing is at ${shorten(request.path)}`;
    sendProblem(response, { status: 404, detail });
  });
  app.use(errorHandler(options.log));
  return app;
}

function refuseMethod(response: ServerResponse): void {
  response.setHeader('allow', 'GET, HEAD');
  sendProblem(response, { status: 405, detail: 'only GET and HEAD are answered' });
}

/** Turns what a handler threw into a problem document; what nobody foresaw is logged. */
function errorHandler(log: Log): ErrorRequestHandler {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- Express tells it by its four
  return (error: unknown, _request, response, _next) => {
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (error instanceof ProblemError) {
      for (const [name, value] of Object.entries(error.headers)) response.setHeader(name, value);
      sendProblem(response, error.problem);
      return;
    }
    // Express' own refusals (a path that is no UTF-8) say their status.
    const status = (error as { status?: unknown } | undefined)?.status;
    if (typeof status === 'number' && status >= 400 && status < 500) {
      sendProblem(response, { status, detail: 'the request cannot be read' });
      return;
    }
    log.error({ error }, 'a request failed');
    sendProblem(response, { status: 500, detail: 'the gateway failed; its log says why' });
  };
}
