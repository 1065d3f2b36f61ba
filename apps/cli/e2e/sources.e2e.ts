import { connectBus, NatsServer, subjects, unpack, type Bus } from '@netstatd/bus';
import type { ConnectionEvent, HostInfo } from '@netstatd/events';
import {
  BatchWriter,
  Direction,
  encodeHost,
  encodeMark,
  encodeSocket,
  MarkKind,
  RecordFlag,
  SocketKind,
} from '@netstatd/records';
import {
  describeOn,
  Lab,
  startUp,
  Up,
  waitFor,
  WHOLE_CHAIN,
  type Recorder,
} from '@netstatd/testkit';
import { spawn, type ChildProcess } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';

/** An ordinary user, and what takes every capability away for good. */
const NOBODY = 65534;
const asNobody = [
  ...['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--no-new-privs'],
  ...['--bounding-set=-all', '--inh-caps=-all'],
];

interface Service {
  service: string;
  ready: boolean;
  reason?: string;
  counters: Record<string, number>;
  capture?: Record<string, string>;
}

async function serviceOf(up: Up, name: string): Promise<Service | undefined> {
  const { nodes } = (await up.get('/api/status')) as { nodes: { services: Service[] }[] };
  return nodes.flatMap(({ services }) => services).find(({ service }) => service === name);
}

describeOn(WHOLE_CHAIN, 'without any right, from /proc', () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'netstatd-nobody-'));
  let up: Up;
  let recorder: Recorder;
  let user: ChildProcess;
  let ports: { tcp: number; client: number; udp: number; sender: number };

  beforeAll(async () => {
    chownSync(stateDir, NOBODY, NOBODY);
    up = await startUp({ prefix: asNobody, stateDir, env: { POLL_MS: '200' } });
    recorder = await up.record();
    const script = `
      const { createServer, connect } = require('net');
      const server = createServer().listen(0, '127.0.0.1', () => {
        const tcp = server.address().port;
        const client = connect(tcp, '127.0.0.1', () => {
          const receiver = require('dgram').createSocket('udp4').bind(0, '127.0.0.1', () => {
            const udp = receiver.address().port;
            const sender = require('dgram').createSocket('udp4');
            sender.connect(udp, '127.0.0.1', () => console.log(JSON.stringify({
              tcp, client: client.localPort, udp, sender: sender.address().port,
            })));
          });
        });
      });`;
    const [command, ...args] = [...asNobody, process.execPath, '-e', script];
    user = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(user.stdout!, 'data')) as [Buffer];
    ports = JSON.parse(line.toString()) as typeof ports;
  });
  afterAll(async () => {
    user.kill('SIGKILL');
    await up.stop();
    rmSync(stateDir, { recursive: true, force: true });
  });

  it('says so: in its output, the status and host.info, with what is missed', async () => {
    expect(up.log).toMatch(
      /cannot capture: .*CAP_BPF.*Reading \/proc instead, which does not show/,
    );
    const host = recorder.events.find(({ type }) => type === 'host.info') as HostInfo;
    for (const capture of [host.capture, (await serviceOf(up, 'collector'))?.capture]) {
      expect(capture).toMatchObject({ source: 'procfs', tcp: '/proc/net/tcp' });
      expect(capture?.missed).toContain('connects that fail');
    }
  });

  const known = (what: string, match: Partial<ConnectionEvent>) =>
    recorder.waitFor(what, (event) =>
      Object.entries(match).every(
        ([key, value]) => (event as unknown as Record<string, unknown>)[key] === value,
      ),
    );
  const owner = () => ({ pid: user.pid, exe: process.execPath, comm: 'node', uid: NOBODY });

  it('lists its own connections and ports with their owner', async () => {
    const { tcp, client, udp, sender } = ports;
    const type = 'connection.event' as const;
    const end = { type, protocol: 'TCP', state: 'ESTABLISHED' } as const;
    const near = await known('the client', { ...end, localPort: client, remotePort: tcp });
    expect(near).toMatchObject({ direction: 'outbound', remoteIP: '127.0.0.1', ...owner() });
    const far = await known('the server', { ...end, localPort: tcp, remotePort: client });
    expect(far).toMatchObject({ direction: 'inbound', ...owner() });
    const flow = { type, protocol: 'UDP', localPort: sender, remotePort: udp } as const;
    expect(await known('the flow', flow)).toMatchObject(owner());
    const listed = (await up.get(`/api/ports?port=${tcp}`)) as { items: unknown[] };
    expect(listed.items).toMatchObject([{ port: tcp, pid: user.pid, exe: process.execPath }]);
    const processes = await up.get(`/api/pid-exe?pid=${user.pid ?? 0}`);
    expect(processes).toMatchObject({ exe: process.execPath });
  });

  it('leaves out the owner of what others opened', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = connect(port, '127.0.0.1');
    await once(client, 'connect');
    const seen = await known('the connection', { localPort: client.localPort!, remotePort: port });
    expect(seen).not.toHaveProperty('pid');
    expect(seen).not.toHaveProperty('exe');
    client.destroy();
    server.close();
  });

  it('tells of their end, and of nothing that nobody counted', async () => {
    user.kill('SIGKILL');
    const { tcp, client } = ports;
    const end = { type: 'connection.event', state: 'CLOSE', localPort: client } as const;
    const closed = await known('the end', { ...end, remotePort: tcp });
    expect(closed).toMatchObject(owner());
    for (const field of ['bytesSent', 'bytesReceived', 'retransmits', 'rttMicros', 'closeReason'])
      expect(closed).not.toHaveProperty(field);
    await recorder.waitFor(
      'the end of the port',
      (event) => event.type === 'port.closed' && event.port === tcp,
    );
    expect(recorder.problems).toEqual([]);
  });
});

/** Rows of events as they came over the bus, each as JSON. */
interface Heard {
  rows: string[];
  close: () => void;
}

describeOn(WHOLE_CHAIN, 'a recording', () => {
  const directory = mkdtempSync(join(tmpdir(), 'netstatd-recording-'));
  const file = join(directory, 'raw');
  let nats: NatsServer;
  let bus: Bus;

  beforeAll(async () => {
    nats = await NatsServer.start({ stateDir: directory });
    bus = await connectBus({ url: nats.url, name: 'sources' });
    await waitFor('the bus', () => bus.connected);
  });
  afterAll(async () => {
    await bus.close();
    await nats.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Listens to the rows that an instance on this bus publishes from its very start. */
  async function listen(node: string): Promise<Heard> {
    const rows: string[] = [];
    const subscription = bus.subscribe(subjects(node).events, (payload) => {
      const { events } = unpack(payload) as { events: unknown[] };
      rows.push(...events.map((row) => JSON.stringify(row)));
    });
    await bus.flush();
    return { rows, close: () => subscription.close() };
  }

  const onBus = (node: string, ...flags: string[]) => ({
    flags: ['--nats-url', nats.url, '--node-name', node, ...flags],
  });

  /** Plays a recording to its end; the rows, and what is open then. */
  async function play(node: string, path: string, env: Record<string, string> = {}) {
    const heard = await listen(node);
    const up = await startUp({ ...onBus(node, '--source', `replay:${path}`), env });
    try {
      await waitFor('the end of the recording', () => up.log.includes('played to its end'));
      await waitFor('all that comes of it', async () => {
        const collector = await serviceOf(up, 'collector');
        const enricher = await serviceOf(up, 'enricher');
        const [played, read] = [collector?.counters.batches, enricher?.counters.batches];
        return played !== undefined && played === read
          ? enricher?.counters.events === heard.rows.length
          : false;
      });
      const open = ['connections', 'ports', 'processes', 'containers'].map(async (list) =>
        JSON.stringify(await up.get(`/api/${list}?limit=1000`)),
      );
      return { rows: heard.rows, open: await Promise.all(open), log: up.log };
    } finally {
      heard.close();
      await up.stop();
    }
  }

  let live: string[] = [];
  let inode = 0;

  it('is made while everything runs', async () => {
    const lab = new Lab();
    const [from, to] = [lab.netns(), lab.netns()];
    inode = from.inode;
    const heard = await listen('live');
    const up = await startUp(onBus('live', '--record', file));
    try {
      const listener = await lab.traffic('listener', ['listen', '--hold'], { netns: to });
      const { port = 0 } = await listener.said('listening');
      await listener.go('acceptor', lab.cgroup());
      const where = ['--to', to.address4, '--port', String(port)];
      for (const count of ['20', '5'])
        await lab
          .traffic('client', ['connect', ...where, '--count', count, '--close', 'hold'], {
            netns: from,
            cgroup: lab.cgroup(),
          })
          .then((client) => client.said('done'));
      const recorder = await up.record();
      await lab.close();
      await recorder.waitFor(
        'the last end',
        () =>
          recorder.connections(({ netns, state }) => netns === inode && state === 'CLOSE').length >=
          25,
      );
    } finally {
      await up.stop();
    }
    heard.close();
    live = heard.rows;
    expect(statSync(file).size).toBeGreaterThan(10_000);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('played twice gives byte-equal events, at any speed, and those that were', async () => {
    const first = await play('replay', file);
    const second = await play('replay', file, { REPLAY_SPEED: 'full' });
    expect(second.rows).toEqual(first.rows);
    expect(second.open).toEqual(first.open);
    const [host = ''] = first.rows;
    expect(host).toMatch(/^\["host\.info".*"source":"replay".*"recordedFrom":"bpf"/s);
    // What others did on this machine at that time may have begun before the recording.
    const ours = live.filter((row) => row.startsWith('["conn') && row.includes(`${inode}`));
    expect(ours.length).toBeGreaterThanOrEqual(75);
    const replayed = new Set(first.rows);
    expect(ours.filter((row) => !replayed.has(row))).toEqual([]);
  });

  it('that ends in the middle is played as far as it goes, and says so', async () => {
    truncateSync(file, statSync(file).size - 5);
    const { log, rows } = await play('cut', file, { REPLAY_SPEED: 'full' });
    expect(log).toContain('it ends in the middle of a batch; what comes before is played');
    expect(rows.length).toBeGreaterThan(75);
  });

  it('of another machine is not mixed with this one', async () => {
    const path = join(directory, 'other');
    const facts = { hostIPs: ['192.0.2.7'], kernel: '5.10', capture: { source: 'bpf' } };
    const head = { timeNs: 5e9, flags: RecordFlag.SNAPSHOT };
    const owner = { pid: process.pid, ownerStartNs: 1e9, comm: 'other', uid: 7, cgroupId: 1 };
    const tuple = { family: 2, protocol: 6, state: 1, localPort: 1000, remotePort: 80 };
    const address = (last: number) => Uint8Array.of(192, 0, 2, last);
    const batch = new BatchWriter(1n).batch(
      [
        encodeHost(head, JSON.stringify(facts)),
        encodeMark({ kind: MarkKind.SNAPSHOT_BEGIN, timeNs: 5e9 }),
        encodeSocket(
          { ...head, kind: SocketKind.OPEN, flags: RecordFlag.SNAPSHOT | RecordFlag.OWNER },
          {
            ...{ cookie: 1, netns: 77, direction: Direction.OUTBOUND, ...tuple, ...owner },
            ...{ localAddress: address(7), remoteAddress: address(8) },
          },
        ),
        encodeMark({ kind: MarkKind.SNAPSHOT_END, timeNs: 5e9 }, { sockets: 1 }),
      ],
      { readNs: 5_000_000_000n, wallOffsetNs: 1_700_000_000_000_000_000n },
    );
    writeFileSync(path, batch);
    const { rows, open } = await play('other', path);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toContain('192.0.2.7');
    expect(rows[0]).toContain('"5.10"');
    const [connection] = (JSON.parse(open[0]!) as { items: Record<string, unknown>[] }).items;
    expect(connection).toMatchObject({ pid: process.pid, comm: 'other', netns: 77 });
    expect(connection?.timestamp).toBe('2023-11-14T22:13:25.000000Z');
    expect(connection).not.toHaveProperty('exe');
  });

  it.each([
    ['empty', '', /is empty: it is no recording/],
    ['something else', 'hello'.repeat(100), /is no recording, or one of another version/],
  ])('that is %s is refused in one clear line', async (name, text, reason) => {
    const path = join(directory, 'bad');
    writeFileSync(path, text);
    const up = await Up.start(onBus(name.replace(' ', '-'), '--source', `replay:${path}`));
    expect(await up.ended).toBe(1);
    expect(up.log).toMatch(reason);
    await up.stop();
  });
});
