import { listenError } from '@netstatd/service';
import type { Express } from 'express';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Conntrack } from './stream/conntrack.ts';

/** Longest silence in the middle of a request or an answer. */
const idleMs = 30_000;
const maxConnections = 12_000;
/** How long clients have to say goodbye when the gateway stops. */
const closeMs = 1_000;

/** One port: HTTP and WebSocket. */
export class Listener {
  readonly port: number;
  readonly #server: Server;
  readonly #conntrack: Conntrack;

  private constructor(server: Server, conntrack: Conntrack) {
    this.#server = server;
    this.#conntrack = conntrack;
    this.port = (server.address() as AddressInfo).port;
  }

  /**
   * Listens on all addresses, IPv6 and IPv4; without IPv6 on those of IPv4.
   * @throws StartError when the port is taken
   */
  static async open(port: number, app: Express, conntrack: Conntrack): Promise<Listener> {
    const server = createServer(app);
    server.on('upgrade', (request, socket, head) => conntrack.upgrade(request, socket, head));
    server.headersTimeout = server.requestTimeout = 10_000;
    server.timeout = idleMs;
    server.maxConnections = maxConnections;
    try {
      await listen(server, '::', port);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') {
        throw listenError(error as NodeJS.ErrnoException, '::', port);
      }
      await listen(server, '0.0.0.0', port);
    }
    return new Listener(server, conntrack);
  }

  /** Stops listening, says goodbye to clients, and ends what is left after a second. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#conntrack.close();
    this.#server.closeIdleConnections();
    const rest = setTimeout(() => {
      this.#conntrack.terminate();
      this.#server.closeAllConnections();
    }, closeMs);
    await closed;
    clearTimeout(rest);
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
