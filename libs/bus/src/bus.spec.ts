import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bus } from './bus.ts';
import { connectBus } from './bus.ts';
import { pack } from './pack.ts';
import { NatsServer } from './server.ts';
import { unpack } from './unpack.ts';

// Other tests run on the same processors.
jest.setTimeout(60_000);

const log = { info: () => undefined, warn: () => undefined };

let stateDir: string;
let server: NatsServer;
const open: Bus[] = [];

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'netstatd-bus-'));
  server = await NatsServer.start({ stateDir });
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((bus) => bus.close()));
  await server.stop();
  await rm(stateDir, { recursive: true });
});

async function bus(options: { url?: string; maxPendingBytes?: number } = {}): Promise<Bus> {
  const opened = await connectBus({ url: server.url, name: 'test', log, ...options });
  open.push(opened);
  return opened;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function connected(options: { maxPendingBytes?: number } = {}): Promise<Bus> {
  const opened = await bus(options);
  await until(() => opened.connected);
  return opened;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('Bus', () => {
  test('carries messages, each with bytes of its own', async () => {
    const [sender, receiver] = [await connected(), await connected()];
    const seen: unknown[] = [];
    receiver.subscribe('netstatd.a.events', (payload) => seen.push(unpack(payload)));
    await receiver.flush();
    const sent = Array.from({ length: 500 }, (_, i) => ({ i, text: 'x'.repeat(i) }));
    for (const value of sent) expect(sender.publish('netstatd.a.events', pack(value))).toBe(true);
    await until(() => seen.length === sent.length);
    expect(seen).toEqual(sent);
    expect(sender.stats()).toMatchObject({ publishedMessages: 500, droppedPending: 0 });
  });

  test('a subscription ends, and a handler that throws harms nobody', async () => {
    const [sender, receiver] = [await connected(), await connected()];
    let calls = 0;
    const subscription = receiver.subscribe('a', () => {
      calls++;
      throw new Error('no');
    });
    await receiver.flush();
    sender.publish('a', pack(1));
    sender.publish('a', pack(2));
    await until(() => calls === 2);
    expect(receiver.stats().handlerErrors).toBe(2);
    subscription.close();
    await receiver.flush();
    sender.publish('a', pack(3));
    await sender.flush();
    await receiver.flush();
    expect(calls).toBe(2);
  });

  test('is there before its server, and again after it was killed', async () => {
    const kill = async () => {
      process.kill(server.pid ?? 0, 'SIGKILL');
      await server.exited;
    };
    await kill();
    const early = await bus();
    const seen: unknown[] = [];
    const changes: boolean[] = [];
    const ignore = early.onChange((is) => changes.push(is));
    early.subscribe('a', (payload) => seen.push(unpack(payload)));
    expect(early.publish('a', pack(0))).toBe(false);
    await expect(early.flush()).rejects.toThrow('away');
    for (let round = 1; round <= 2; round++) {
      await server.restart();
      await until(() => early.connected);
      early.publish('a', pack(round));
      await until(() => seen.length === round);
      await kill();
      await until(() => !early.connected);
    }
    expect(seen).toEqual([1, 2]);
    expect(changes).toEqual([true, false, true, false]);
    expect(early.stats()).toMatchObject({ disconnects: 2, droppedDisconnected: 1 });
    ignore();
  });

  test('drops and counts what a server that stands still does not take', async () => {
    const sender = await connected({ maxPendingBytes: 4 << 20 });
    const pid = server.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    const payload = new Uint8Array(100 << 10);
    let taken = 0;
    for (let i = 0; i < 100; i++) if (sender.publish('a', payload)) taken++;
    expect(taken).toBe(40);
    expect(sender.stats()).toMatchObject({ droppedPending: 60, pendingBytes: 40 * payload.length });
    process.kill(pid, 'SIGCONT');
    await sender.flush();
    expect(sender.stats().pendingBytes).toBe(0);
    expect(sender.publish('a', payload)).toBe(true);
  });

  test('drops and counts what is larger than the server allows', async () => {
    const sender = await connected();
    expect(sender.publish('a', new Uint8Array(sender.maxPayload + 1))).toBe(false);
    expect(sender.stats().droppedTooLarge).toBe(1);
    expect(sender.publish('a', new Uint8Array(sender.maxPayload))).toBe(true);
  });

  test('a request gets its pages, or the reason why not', async () => {
    const [asker, answerer] = [await connected(), await connected()];
    answerer.subscribe('pages', (payload, _subject, reply = '') => {
      const count = Number(unpack(payload));
      for (let i = 0; i < count; i++) answerer.respond(reply, pack(i));
    });
    await answerer.flush();
    const ask = async (subject: string, count: number, limits = {}) => {
      const pages: unknown[] = [];
      const answers = asker.requestMany(subject, pack(count), { timeoutMs: 200, ...limits });
      for await (const page of answers) if (pages.push(unpack(page)) === 3) break;
      return pages;
    };
    expect(await ask('pages', 3)).toEqual([0, 1, 2]);
    expect(await ask('pages', 9)).toEqual([0, 1, 2]);
    await expect(ask('pages', 2)).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect(ask('nobody', 2)).rejects.toMatchObject({ code: 'NO_RESPONDER' });
    await expect(ask('pages', 3, { maxPages: 2 })).rejects.toMatchObject({ code: 'TOO_LARGE' });
    await expect(ask('pages', 3, { maxQueuedBytes: 0 })).rejects.toMatchObject({
      code: 'TOO_LARGE',
    });
    const cutOff = expect(ask('pages', 2, { timeoutMs: 60_000 })).rejects.toMatchObject({
      code: 'DISCONNECTED',
    });
    await asker.flush();
    process.kill(server.pid ?? 0, 'SIGKILL');
    await cutOff;
    await expect(ask('pages', 3)).rejects.toMatchObject({ code: 'DISCONNECTED' });
  });

  test('closes while its server is away, and while it stands still', async () => {
    const away = await connectBus({ url: 'nats://127.0.0.1:1', name: 'test', log });
    await away.close();
    const stuck = await connected();
    process.kill(server.pid ?? 0, 'SIGSTOP');
    stuck.publish('a', pack(1));
    await stuck.close(50);
    expect(stuck.connected).toBe(false);
    process.kill(server.pid ?? 0, 'SIGCONT');
  });

  test('refuses a URL that is none', async () => {
    await expect(connectBus({ url: 'http://x', name: 'test', log })).rejects.toThrow(RangeError);
  });
});

describe('NatsServer', () => {
  test('keeps its configuration to itself and leaves nothing but its log', async () => {
    const config = await stat(join(stateDir, 'nats.conf'));
    expect(config.mode & 0o777).toBe(0o600);
    const stranger = await bus({ url: `nats://guess@127.0.0.1:${server.port}` });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(stranger.connected).toBe(false);
    await server.stop();
    expect(await readdir(stateDir)).toEqual(['nats.log']);
    expect(server.pid).toBeUndefined();
  });

  test('dies with its parent, however that ends', async () => {
    const program = join(__dirname, 'fixtures/own-server.ts');
    const parent = spawn(process.execPath, ['--import', 'tsx', program, stateDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [printed] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(printed.toString());
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await until(() => !isAlive(pid));
  });

  test('says what is missing', async () => {
    const start = NatsServer.start({ stateDir, binary: 'no-such-server' });
    await expect(start).rejects.toThrow(
      'no-such-server is not installed: apt-get install nats-server',
    );
  });

  test('says what a server that does not come up said', async () => {
    const start = NatsServer.start({ stateDir, port: server.port, binary: '/bin/false' });
    // Something else answers on the port: the child is known to be gone all the same.
    await expect(start).rejects.toThrow('did not start');
  });
});
