import type { Chunk } from '@netstatd/capture';
import { CgroupIndex, ProcFs } from '@netstatd/procfs';
import { BatchReader, BatchWriter, ProcessKind, RecordType, SocketKind } from '@netstatd/records';
import { RecordFlag } from '@netstatd/records';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { ProcfsSource } from './procfs-source.ts';

// A poll is costly where other tests have opened many thousand sockets.
jest.setTimeout(60_000);

const IPV4 = 2;
const IPV6 = 10;
const COOKIES_FROM = 2 ** 52;

interface Told {
  type: number;
  kind: number;
  flags: number;
  [field: string]: unknown;
}

/** Everything that chunks hold, as objects. */
class Reader {
  readonly told: Told[] = [];
  readonly #writer = new BatchWriter(1n);

  read({ buffer, payloadBytes, records }: Chunk): void {
    const facts = { records, lostBefore: 0, wallOffsetNs: 0n };
    const reader = new BatchReader();
    expect(
      reader.load(this.#writer.seal(buffer, BatchWriter.headroom, payloadBytes, facts)),
    ).toBeUndefined();
    while (reader.next()) {
      const { type, kind, flags, socket, process, mark } = reader;
      const { cookie, pid, comm, family, protocol, direction, localPort, remotePort } = socket;
      this.told.push({
        ...{ type, kind, flags },
        ...(type === RecordType.SOCKET && { cookie, pid, comm, family, protocol, direction }),
        ...(type === RecordType.SOCKET && { localPort, remotePort, uid: socket.uid }),
        ...(type === RecordType.SOCKET && { netns: socket.netns, address: socket.localAddress }),
        ...(type === RecordType.PROCESS && { pid: process.pid, exe: process.exe }),
        ...(type === RecordType.MARK && { sockets: mark.sockets, processes: mark.processes }),
      });
    }
    expect(reader.error).toBeUndefined();
  }

  of(match: Record<string, unknown>): Told[] {
    return this.told.filter((each) =>
      Object.entries(match).every(([key, value]) => each[key] === value),
    );
  }
}

const procfs = new ProcFs();
const sourceOf = (options: { loopback?: boolean; udp?: boolean } = {}) =>
  new ProcfsSource({
    ...{
      procfs,
      cgroups: new CgroupIndex(),
      pollMs: 50,
      restForCost: 0,
      loopback: true,
      udp: true,
    },
    ...options,
  });

async function until<T>(probe: () => T | undefined): Promise<T> {
  for (;;) {
    const found = probe();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const mine = { pid: process.pid, comm: procfs.readProcess(process.pid)?.comm };

test('a snapshot shows what this process has open, with its owner', async () => {
  const server = createServer().listen(0, '::1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect(port, '::1');
  await once(client, 'connect');
  const udp = createSocket('udp4');
  udp.connect(9, '127.0.0.1');
  await once(udp, 'connect');
  const source = sourceOf();
  const reader = new Reader();
  for (const chunk of source.snapshot()) reader.read(chunk);
  const { localPort } = client;
  const end = { family: IPV6, protocol: 6, address: '::1', netns: procfs.netnsOf('self') };
  const told = (match: Record<string, unknown>) => reader.of({ ...match, ...mine });
  expect(told({ ...end, kind: SocketKind.LISTENING, localPort: port })).toHaveLength(1);
  const near = { kind: SocketKind.OPEN, localPort, remotePort: port, direction: 1 };
  const far = { kind: SocketKind.OPEN, localPort: port, remotePort: localPort, direction: 2 };
  const [one, ...others] = [...told({ ...end, ...near }), ...told({ ...end, ...far })];
  expect(others).toHaveLength(1);
  expect(one?.cookie).toBeGreaterThan(COOKIES_FROM);
  expect(one?.uid).toBe(process.getuid?.());
  const wanted = RecordFlag.SNAPSHOT | RecordFlag.OWNER | RecordFlag.UNCOUNTED;
  expect((one?.flags ?? 0) & wanted).toBe(wanted);
  const flow = { kind: SocketKind.FLOW_OPENED, remotePort: 9, localPort: udp.address().port };
  expect(told({ ...flow, family: IPV4 })).toHaveLength(1);
  const existing = { type: RecordType.PROCESS, kind: ProcessKind.EXISTS };
  expect(reader.of({ ...existing, pid: process.pid })).toMatchObject([{ exe: process.execPath }]);
  const [begin, last] = reader.of({ type: RecordType.MARK });
  expect([reader.told[0], reader.told.at(-1)]).toEqual([begin, last]);
  const counted = { sockets: RecordType.SOCKET, processes: RecordType.PROCESS };
  for (const [name, type] of Object.entries(counted))
    expect(last?.[name]).toBe(reader.of({ type }).length);
  udp.close();
  client.destroy();
  server.close();
});

test('polls tell what changes: listeners, both ends of connections, their end', async () => {
  const source = sourceOf();
  const reader = new Reader();
  source.snapshot();
  source.start((buffer, payloadBytes, records) => reader.read({ buffer, payloadBytes, records }));
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect(port, '127.0.0.1');
  await once(client, 'connect');
  const { localPort } = client;
  const told = (match: Record<string, unknown>) => until(() => reader.of(match)[0]);
  const near = { localPort, remotePort: port };
  const far = { localPort: port, remotePort: localPort };
  await told({ ...mine, kind: SocketKind.LISTENING, localPort: port });
  const opened = await told({ ...mine, ...near, kind: SocketKind.ESTABLISHED, direction: 1 });
  await told({ ...mine, ...far, kind: SocketKind.ESTABLISHED, direction: 2 });
  client.destroy();
  server.close();
  const closed = await told({ ...near, kind: SocketKind.CLOSED });
  expect(closed.cookie).toBe(opened.cookie);
  await told({ ...far, kind: SocketKind.CLOSED });
  await told({ localPort: port, kind: SocketKind.UNLISTENED });
  source.close();
  expect(source.stats()).toMatchObject({ socketsSkipped: 0, namespacesSkipped: 0 });
});

test('what is excluded is not told', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  const udp = createSocket('udp4').bind(0, '127.0.0.1');
  await Promise.all([once(server, 'listening'), once(udp, 'listening')]);
  const reader = new Reader();
  for (const chunk of sourceOf({ loopback: false, udp: false }).snapshot()) reader.read(chunk);
  expect(reader.of({ localPort: (server.address() as AddressInfo).port })).toEqual([]);
  expect(reader.of({ protocol: 17 })).toEqual([]);
  udp.close();
  server.close();
});
