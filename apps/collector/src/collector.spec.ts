import { connectBus, NatsServer, pack, subjects } from '@netstatd/bus';
import type { Bus } from '@netstatd/bus';
import { BatchReader, CgroupKind, MarkKind, ProcessKind, RecordType } from '@netstatd/records';
import { RecordFlag, SocketKind } from '@netstatd/records';
import { bpftool, describeOn, waitFor, workspaceRoot } from '@netstatd/testkit';
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

jest.setTimeout(120_000);

const program = join(workspaceRoot, 'dist/collector/main.js');
const NODE = `spec-${process.pid}`;
const silent = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() };

interface Heard {
  seq: number;
  records: number;
  recordsBefore: number;
  epoch: number;
}
type Seen = Record<string, unknown> & { type: number; kind: number; flags: number };

/** Everything here happens within milliseconds; the rest is for a busy machine. */
const soon: typeof waitFor = (what, probe) => waitFor(what, probe, 15_000);

/** What was said on the raw subject about this process and its children: the machine does more. */
class Recorder {
  readonly batches: Heard[] = [];
  readonly records: Seen[] = [];
  readonly errors: string[] = [];
  readonly #reader = new BatchReader();
  /** Records by type since the last mark. */
  #counts: Record<number, number> = {};

  hear(payload: Uint8Array): void {
    const reader = this.#reader;
    const error = reader.load(payload);
    if (error) this.errors.push(error.message);
    else this.batches.push(pick(reader, ['seq', 'records', 'recordsBefore', 'epoch']));
    while (reader.next()) {
      const { type, kind, flags } = reader;
      this.#counts[type] = (this.#counts[type] ?? 0) + 1;
      if (!concernsUs(reader)) continue;
      const counts = { ...this.#counts };
      if (type === RecordType.MARK) this.#counts = {};
      this.records.push({ type, kind, flags, counts, ...fieldsOf(reader) });
    }
    if (reader.error) this.errors.push(reader.error.message);
  }

  sockets(match: Record<string, unknown>): Seen[] {
    return this.of(RecordType.SOCKET, match);
  }

  of(type: number, match: Record<string, unknown>): Seen[] {
    const wanted = Object.entries({ type, ...match });
    return this.records.filter((seen) => wanted.every(([key, value]) => seen[key] === value));
  }
}

function concernsUs({ type, socket, process: subject }: BatchReader): boolean {
  if (type === RecordType.SOCKET) return socket.pid === process.pid;
  if (type !== RecordType.PROCESS) return true;
  if (subject.pid === process.pid || subject.ppid === process.pid) return true;
  return subject.exe?.includes('netstatd exe') ?? false;
}

function pick<T, K extends keyof T>(from: T, keys: K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>;
}

function fieldsOf(reader: BatchReader): Record<string, unknown> {
  const { socket, process, cgroup, mark } = reader;
  if (reader.type === RecordType.SOCKET)
    return {
      ...pick(socket, ['cookie', 'pid', 'uid', 'netns', 'comm', 'family', 'protocol', 'direction']),
      ...pick(socket, ['localAddress', 'localPort', 'remoteAddress', 'remotePort']),
      ...pick(socket, ['bytesSent', 'bytesReceived', 'cgroupId']),
    };
  if (reader.type === RecordType.PROCESS)
    return pick(process, ['pid', 'ppid', 'exe', 'comm', 'startNs', 'uid']);
  if (reader.type === RecordType.CGROUP) return pick(cgroup, ['cgroupId', 'path']);
  return pick(mark, ['sockets', 'processes']);
}

const netns = Number(/\d+/.exec(readLink('/proc/self/ns/net'))?.[0]);
function readLink(path: string): string {
  return spawnSync('readlink', [path], { encoding: 'utf8' }).stdout;
}

/** The root of the v2 cgroup hierarchy, wherever it is mounted. */
function cgroupRoot(): string {
  const mounts = readFileSync('/proc/mounts', 'utf8');
  return /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1] ?? '/sys/fs/cgroup';
}

describeOn(['root', 'btf', 'bpf', 'cgroup2', 'nats'], 'the collector', () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'netstatd-collector-'));
  const recorder = new Recorder();
  let nats: NatsServer;
  let bus: Bus;
  let collector: Running;

  interface Running {
    child: ChildProcess;
    log: () => string;
    port: () => number;
    programs: number[];
  }

  async function start(...args: string[]): Promise<Running> {
    const before = new Set(bpftool('prog').map(({ id }) => id));
    const flags = [`--nats-url=${nats.url}`, `--node-name=${NODE}`, '--health-port=0', ...args];
    const child = spawn(process.execPath, [program, ...flags], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    child.stderr.on('data', (text: Buffer) => (log += text.toString()));
    const port = () => Number(/"healthPort":(\d+)/.exec(log)?.[1]);
    await soon('the collector', () => {
      if (child.exitCode !== null) throw new Error(`the collector ended: ${log}`);
      return port() > 0;
    });
    const programs = bpftool('prog').filter(({ id }) => !before.has(id));
    return { child, log: () => log, port, programs: programs.map(({ id }) => id) };
  }

  const answer = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${collector.port()}${path}`);
    return { status: response.status, text: await response.text() };
  };
  const gone = (programs: number[]) =>
    soon('the programs to go', () => {
      const left = new Set(bpftool('prog').map(({ id }) => id));
      return programs.every((id) => !left.has(id));
    });
  const seen = (what: string, match: Record<string, unknown>) =>
    soon(what, () => recorder.sockets(match)[0]);

  beforeAll(async () => {
    if (!existsSync(program)) throw new Error(`${program} is not built: npm run build`);
    nats = await NatsServer.start({ stateDir });
    bus = await connectBus({ url: nats.url, name: 'spec', log: silent });
    bus.subscribe(subjects(NODE).raw, (payload) => recorder.hear(payload));
    await soon('the bus', () => bus.connected);
    await bus.flush();
    collector = await start('--sweep-ms=100', '--flow-idle-seconds=1');
  });

  afterAll(async () => {
    collector.child.kill('SIGKILL');
    await bus.close();
    await nats.stop();
    rmSync(stateDir, { recursive: true, force: true });
  });

  afterEach(() => expect(recorder.errors).toEqual([]));

  it('is ready, and begins with a snapshot', async () => {
    await soon('readiness', async () => (await answer('/readyz')).status === 200);
    const end = await soon(
      'the snapshot',
      () => recorder.of(RecordType.MARK, { kind: MarkKind.SNAPSHOT_END })[0],
    );
    expect(recorder.of(RecordType.MARK, {})[0]?.kind).toBe(MarkKind.SNAPSHOT_BEGIN);
    expect(end.counts).toMatchObject({
      [RecordType.SOCKET]: end.sockets,
      [RecordType.PROCESS]: end.processes,
    });
    const self = recorder.of(RecordType.PROCESS, { pid: process.pid, kind: ProcessKind.EXISTS });
    expect(self).toMatchObject([{ exe: process.execPath, ppid: process.ppid }]);
  });

  it('tells of a connection, of both its ends', async () => {
    const server = createServer((socket) => socket.resume()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const remotePort = (server.address() as AddressInfo).port;
    const client = connect(remotePort, '127.0.0.1');
    await once(client, 'connect');
    const { localPort } = client;
    client.end('hello');
    await once(client, 'close');
    server.close();
    const own = { pid: process.pid, netns, family: 2, protocol: 6 };
    await seen('the connect', { ...own, kind: SocketKind.CONNECTING, remotePort });
    const closed = await seen('the close', {
      ...own,
      kind: SocketKind.CLOSED,
      localPort,
      remotePort,
    });
    expect(closed).toMatchObject({ bytesSent: 5, localAddress: '127.0.0.1' });
    await seen('the listener', { ...own, kind: SocketKind.LISTENING, localPort: remotePort });
    await seen('its end', { ...own, kind: SocketKind.UNLISTENED, localPort: remotePort });
  });

  it.each([
    ['udp4', '127.0.0.1', 2, '127.0.0.1', false],
    ['udp4', '127.0.0.1', 2, '127.0.0.1', true],
    ['udp6', '::1', 10, '::1', false],
    ['udp6', '::1', 10, '::1', true],
    ['udp6', '::ffff:127.0.0.1', 2, '127.0.0.1', false],
  ] as const)(
    'makes one flow of many datagrams: %s %s',
    async (type, host, family, address, connected) => {
      const sent = 1000;
      const server = createSocket(type).bind(0, host);
      await once(server, 'listening');
      const remotePort = server.address().port;
      const client = createSocket(type);
      if (connected) {
        client.connect(remotePort, host);
        await once(client, 'connect');
      }
      for (let i = 0; i < sent; i++) {
        const arrival = once(server, 'message');
        if (connected) client.send('0123456789');
        else client.send('0123456789', remotePort, host);
        await arrival;
      }
      const localPort = client.address().port;
      client.close();
      const end = { family, protocol: 17, pid: process.pid, netns };
      const mine = { ...end, localPort, remotePort, remoteAddress: address };
      const others = { ...end, localPort: remotePort, remotePort: localPort };
      const opened = await seen('the flow', { ...mine, kind: SocketKind.FLOW_OPENED });
      expect(opened.direction).toBe(1);
      expect(
        await seen('the other end', { ...others, kind: SocketKind.FLOW_OPENED }),
      ).toMatchObject({ direction: 2, localAddress: address });
      const closed = await seen('its end', { ...mine, kind: SocketKind.FLOW_CLOSED });
      expect(closed).toMatchObject({ bytesSent: 10 * sent, bytesReceived: 0 });
      // The server's socket stays: its flow ends by being idle.
      const idle = await seen('its idle end', { ...others, kind: SocketKind.FLOW_CLOSED });
      expect(idle).toMatchObject({ bytesSent: 0, bytesReceived: 10 * sent });
      expect(recorder.sockets({ ...mine, kind: SocketKind.FLOW_OPENED })).toHaveLength(1);
      expect(await seen('the port', { ...end, kind: SocketKind.BOUND, localPort: remotePort }));
      server.close();
      await seen('its release', { ...end, kind: SocketKind.UNBOUND, localPort: remotePort });
    },
  );

  it('names processes that live for a moment, and those that run from memory', async () => {
    const { pid } = spawnSync('/bin/true');
    const executed = await soon('the execution', () =>
      recorder.of(RecordType.PROCESS, { pid, kind: ProcessKind.EXECUTED }).at(-1),
    );
    expect(executed).toMatchObject({ exe: '/usr/bin/true', comm: 'true', ppid: process.pid });
    await soon(
      'fork and exit',
      () =>
        recorder.of(RecordType.PROCESS, { pid, kind: ProcessKind.EXITED })[0] &&
        recorder.of(RecordType.PROCESS, { pid, kind: ProcessKind.FORKED })[0],
    );
  });

  it('gives the executables that /proc gives, whatever is mounted where', async () => {
    const place = mkdtempSync(join(tmpdir(), 'netstatd exe '));
    const script = `mount -t tmpfs x "$0" && cp /bin/true "$0/a b" && "$0/a b" && umount "$0"`;
    spawnSync('unshare', ['--mount', 'sh', '-c', script, place]);
    rmdirSync(place);
    const exe = join(place, 'a b');
    await soon('the path', () => recorder.of(RecordType.PROCESS, { exe })[0]);
  });

  it('tells of cgroups', async () => {
    const name = `netstatd-spec-${process.pid}`;
    mkdirSync(join(cgroupRoot(), name));
    rmdirSync(join(cgroupRoot(), name));
    const path = `/${name}`;
    for (const kind of [CgroupKind.MADE, CgroupKind.REMOVED]) {
      await soon('the cgroup', () => recorder.of(RecordType.CGROUP, { path, kind })[0]);
    }
  });

  it('says the same again when it is asked to', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const localPort = (server.address() as AddressInfo).port;
    const ends = () => recorder.of(RecordType.MARK, { kind: MarkKind.SNAPSHOT_END }).length;
    const before = ends();
    for (let i = 0; i < 5; i++) bus.publish(subjects(NODE).resync, pack({ reason: 'spec' }));
    await soon('a snapshot', () => ends() > before);
    const listed = await soon('the listener', () =>
      recorder
        .sockets({ localPort, kind: SocketKind.LISTENING })
        .find(({ flags }) => flags & RecordFlag.SNAPSHOT),
    );
    expect(listed.pid).toBe(process.pid);
    server.close();
  });

  it('has flows and UDP ports in its snapshots', async () => {
    const server = createSocket('udp4').bind(0, '127.0.0.1');
    await once(server, 'listening');
    const localPort = server.address().port;
    const clients = [createSocket('udp4'), createSocket('udp4')];
    for (const client of clients) {
      const arrival = once(server, 'message');
      client.send('x', localPort, '127.0.0.1');
      await arrival;
    }
    bus.publish(subjects(NODE).resync, pack({ reason: 'spec' }));
    const told = (kind: number) =>
      recorder.sockets({ localPort, kind }).filter(({ flags }) => flags & RecordFlag.SNAPSHOT);
    await soon('the flows', () => told(SocketKind.FLOW_OPENED).length === 2);
    expect(told(SocketKind.BOUND)).toMatchObject([{ pid: process.pid, family: 2, protocol: 17 }]);
    for (const socket of [...clients, server]) socket.close();
    // The server had two flows: its release ends both.
    await soon('their end', () => {
      return recorder.sockets({ localPort, kind: SocketKind.FLOW_CLOSED }).length === 2;
    });
  });

  it('goes on when the bus has been away, and shows what was missed', async () => {
    const last = recorder.batches.at(-1)!;
    process.kill(nats.pid!, 'SIGKILL');
    await nats.exited;
    await soon('unreadiness', async () => (await answer('/readyz')).status === 503);
    expect((await answer('/readyz')).text).toContain('the bus is away');
    spawnSync('/bin/true');
    const dropped = /^netstatd_collector_dropped_batches_total [1-9]/m;
    await soon('a drop', async () => dropped.test((await answer('/metrics')).text));
    await nats.restart();
    await soon('readiness', async () => (await answer('/readyz')).status === 200);
    const next = await soon('a batch', () => {
      const at = recorder.batches.indexOf(last);
      return recorder.batches.slice(at + 1).find(({ seq }, i) => seq > last.seq + 1 + i);
    });
    expect(next.epoch).toBe(last.epoch);
    expect(next.recordsBefore).toBeGreaterThan(last.recordsBefore + last.records);
  });

  it('leaves nothing in the kernel, however it ends', async () => {
    expect(collector.programs.length).toBeGreaterThan(20);
    collector.child.kill('SIGKILL');
    await once(collector.child, 'exit');
    await gone(collector.programs);
    collector = await start();
    collector.child.kill('SIGTERM');
    const [code] = (await once(collector.child, 'exit')) as [number];
    expect(code).toBe(0);
    await gone(collector.programs);
  });

  it.each([
    ['--no-loopback', [6, 17]],
    ['--no-udp', [17]],
  ])('says nothing of what %s excludes', async (flag, excluded) => {
    collector = await start(flag);
    await soon('the programs', () => collector.programs.length > 0);
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const remotePort = (server.address() as AddressInfo).port;
    const udp = createSocket('udp4').bind(remotePort, '127.0.0.1');
    await once(udp, 'listening');
    const arrival = once(udp, 'message');
    createSocket('udp4').unref().send('x', remotePort, '127.0.0.1');
    await arrival;
    connect(remotePort, '127.0.0.1').end();
    await once(server, 'connection');
    const { pid } = spawnSync('/bin/true');
    await soon(
      'what came after',
      () => recorder.of(RecordType.PROCESS, { pid, kind: ProcessKind.EXITED })[0],
    );
    const heard = recorder.records
      .filter((seen) => seen.localPort === remotePort || seen.remotePort === remotePort)
      .map(({ protocol }) => protocol);
    for (const protocol of [6, 17]) {
      expect([protocol, heard.includes(protocol)]).toEqual([
        protocol,
        !excluded.includes(protocol),
      ]);
    }
    server.close();
    udp.close();
    collector.child.kill('SIGKILL');
  });

  it.each([
    ['--ring-bytes=100000', /ring-bytes.*100000.*power of two/],
    ['--sweep-ms=1', /sweep-ms.*whole number from 50/],
    ['--udp=maybe', /udp/],
  ])('refuses %s', (flag, message) => {
    const { status, stderr } = spawnSync(process.execPath, [program, flag], { encoding: 'utf8' });
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});
