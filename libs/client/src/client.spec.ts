import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { NetstatdEvent } from '@netstatd/events';
import fc from 'fast-check';
import type { WebSocket } from 'ws';
import { WebSocketServer } from 'ws';
import type { Conntrack, ConntrackHandlers, ConntrackOptions } from './conntrack.ts';
import { openConntrack } from './conntrack.ts';
import { readFrame } from './frame.ts';

// Other tests run on the same processors.
jest.setTimeout(60_000);

const up = { type: 'node.up', timestamp: '2025-01-31T12:00:00.000001Z', nodeName: 'a' };
const lagged = { ...up, type: 'stream.lagged', dropped: 3 };

/** A gateway that does to its clients what the test says. */
class Gateway {
  readonly server: Server = createServer();
  readonly requests: IncomingMessage[] = [];
  readonly sockets: WebSocket[] = [];
  answer: { status: number; body: string } | undefined;
  readonly #webSocket: WebSocketServer;

  constructor(autoPong = true) {
    this.#webSocket = new WebSocketServer({ noServer: true, autoPong });
    this.server.on('upgrade', (request, socket, head) => {
      this.requests.push(request);
      if (this.answer) {
        const { status, body } = this.answer;
        socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
        return;
      }
      this.#webSocket.handleUpgrade(request, socket, head, (client) => this.sockets.push(client));
    });
  }

  async listen(port = 0): Promise<string> {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}/conntrack`;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.terminate();
    this.server.close();
    await once(this.server, 'close');
  }
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function gateway(autoPong?: boolean): Promise<{ gateway: Gateway; url: string }> {
  const started = new Gateway(autoPong);
  const url = await started.listen();
  cleanups.push(() => started.close());
  return { gateway: started, url };
}

interface Heard {
  client: Conntrack;
  events: NetstatdEvent[];
  notes: string[];
}

function follow(
  url: string,
  filter: [string, string][] = [],
  options: ConntrackOptions & Partial<ConntrackHandlers> = {},
): Heard {
  const events: NetstatdEvent[] = [];
  const notes: string[] = [];
  const client = openConntrack(url, filter, {
    onEvent: (event) => events.push(event),
    onOpen: () => notes.push('open'),
    onClose: (reason) => notes.push(reason),
    ...options,
  });
  cleanups.push(() => client.close());
  return { client, events, notes };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('openConntrack', () => {
  test('passes on single events and batches, counts what is none', async () => {
    const { gateway: server, url } = await gateway();
    const lags: unknown[] = [];
    const { client, events } = follow(url, [['state', 'CLOSE']], {
      batch: true,
      onLagged: ({ dropped }) => lags.push(dropped),
    });
    await until(() => server.sockets.length === 1);
    expect(server.requests[0]?.url).toBe('/conntrack?state=CLOSE');
    expect(server.requests[0]?.headers['sec-websocket-protocol']).toBe('netstatd.v1.batch');
    const [socket] = server.sockets;
    socket?.send(JSON.stringify(up));
    socket?.send(JSON.stringify([up, { type: 'moon.rise' }, lagged]));
    socket?.send('{');
    socket?.send(Buffer.from(JSON.stringify(up)));
    socket?.send(JSON.stringify(up));
    await until(() => events.length === 4);
    expect(events).toEqual([up, up, lagged, up]);
    expect(lags).toEqual([3]);
    expect(client.counters).toEqual({ events: 4, malformed: 3, connects: 1 });
  });

  test('comes back after the gateway was away, and says so', async () => {
    const { gateway: server, url } = await gateway();
    const { events, notes } = follow(url);
    await until(() => server.sockets.length === 1);
    server.sockets[0]?.close(1001, 'the gateway is stopping');
    await until(() => server.sockets.length === 2);
    server.sockets[1]?.terminate();
    await until(() => server.sockets.length === 3);
    server.sockets[2]?.send(JSON.stringify(up));
    await until(() => events.length === 1);
    expect(notes.slice(0, 3)).toEqual(['open', 'the gateway is stopping', 'open']);
    expect(notes).toHaveLength(5);
  });

  test('leaves a gateway that fell silent', async () => {
    const { gateway: server, url } = await gateway(false);
    const { notes } = follow(url, [], { silenceMs: 100 });
    await until(() => notes.includes('the gateway fell silent'));
    await until(() => server.sockets.length > 1);
  });

  test('stays with one that has nothing to say', async () => {
    const { gateway: server, url } = await gateway();
    const { notes } = follow(url, [], { silenceMs: 100 });
    let pings = 0;
    await until(() => server.sockets.length === 1);
    server.sockets[0]?.on('ping', () => pings++);
    await until(() => pings > 4);
    expect(notes).toEqual(['open']);
  });

  test('gives up what is refused, and not what is refused for now', async () => {
    const { gateway: server, url } = await gateway();
    server.answer = { status: 503, body: '{"title": "full"}' };
    const refused: unknown[] = [];
    const { notes } = follow(url, [['port', 'x']], {
      onRefused: (reason, status) => refused.push([status, reason]),
    });
    await until(() => notes.length === 2);
    expect(notes).toEqual(['full', 'full']);
    server.answer = { status: 400, body: '{"detail": "port: \\"x\\" is no port"}' };
    await until(() => refused.length > 0);
    const tries = server.requests.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(server.requests.length).toBe(tries);
    expect(refused).toEqual([[400, 'port: "x" is no port']]);
  });

  test('goes on trying where nobody listens, until closed', async () => {
    const { gateway: server, url } = await gateway();
    const { client, notes } = follow(url.replace(/:\d+/, ':1'));
    await until(() => notes.length === 2);
    expect(notes[0]).toContain('ECONNREFUSED');
    client.close();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(notes).toHaveLength(2);
    expect(server.requests).toEqual([]);
  });

  test.each(['', 'localhost', 'http://x/conntrack'])('refuses the URL %j', (url) => {
    expect(() => follow(url)).toThrow(RangeError);
  });
});

test('readFrame takes any text', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      const { events, malformed } = readFrame(text);
      expect(events).toEqual([]);
      expect(malformed).toBeGreaterThanOrEqual(0);
    }),
  );
});
