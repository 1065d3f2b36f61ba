import type { NetstatdEvent } from '@netstatd/events';
import {
  countsByNamespace,
  describeOn,
  isConnection,
  Lab,
  startUp,
  tableOf,
  waitFor,
  WHOLE_CHAIN,
  type Netns,
  type Recorder,
  type Up,
} from '@netstatd/testkit';

const CHURN = 200_000;
const BUS_CHURN = 60_000;

interface Status {
  nodes: {
    lost: Record<string, number>;
    services: { service: string; heardAt: string; counters: Record<string, number> }[];
  }[];
}

/** TCP connects so far, by the kernel's own count. */
const connectsByNamespace = () => countsByNamespace('Tcp', 'ActiveOpens');

describeOn(WHOLE_CHAIN, 'no silent loss (Z02)', () => {
  let lab: Lab;
  let up: Up;
  let [netns, server]: Netns[] = [];
  const recorders: Recorder[] = [];

  beforeAll(async () => {
    lab = new Lab();
    [netns, server] = [lab.netns(), lab.netns()];
    up = await startUp();
  });
  // What a client is told is held against what all clients lost.
  afterEach(() => recorders.splice(0).forEach((recorder) => recorder.close()));
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => up.stop());
  afterAll(() => lab.close());

  async function watch(): Promise<Recorder> {
    const recorder = await up.record({}, { batch: true });
    recorders.push(recorder);
    return recorder;
  }

  /** The collector's counters, from a heartbeat later than now. */
  async function countersFromNowOn(): Promise<Record<string, number>> {
    const now = Date.now();
    return waitFor('a new heartbeat of the collector', async () => {
      const { nodes } = (await up.get('/api/status')) as Status;
      const collector = nodes[0]?.services.find(({ service }) => service === 'collector');
      return collector && Date.parse(collector.heardAt) > now && collector.counters;
    });
  }

  const toldLost = (recorder: Recorder, from: number, where: string) =>
    recorder.events
      .slice(from)
      .filter((event) => event.type === 'stream.lagged')
      .filter(({ place }) => place === where)
      .reduce((sum, { dropped }) => sum + (dropped ?? Number.NaN), 0);

  async function hold(port: number) {
    const to = ['--to', server!.address4, '--port', String(port), '--close', 'hold'];
    const client = await lab.traffic('client', ['connect', ...to, '--count', '20'], {
      netns: netns!,
    });
    const { made } = await client.said('done');
    expect(made).toBe(20);
    return client;
  }

  it('a collector that is stopped while 200,000 connections are made: made = seen + counted', async () => {
    const listener = await lab.traffic('listener', ['listen', '--hold'], { netns: server! });
    const { port = 0 } = await listener.said('listening');
    await listener.go('acceptor');
    const leaving = await hold(port);
    const watcher = await watch();
    const before = await countersFromNowOn();
    const from = watcher.events.length;
    const others = connectsByNamespace();

    up.signal('collector', 'SIGSTOP');
    const churn = await lab.traffic('churn', ['churn', '--count', String(CHURN)], {
      netns: netns!,
    });
    const { made = 0, pid } = await churn.said('done');
    expect(made).toBe(CHURN);
    // What changes now cannot be told: the ring buffer is full.
    await leaving.stop();
    const staying = await hold(port);
    up.signal('collector', 'SIGCONT');

    // A connection that begins after the loss has been read.
    await waitFor('the loss to be told', () => toldLost(watcher, from, 'kernel') !== 0);
    const landmark = await lab.traffic('churn', ['churn', '--count', '1'], { netns: netns! });
    const { pid: last } = await landmark.said('done');
    const isLast = (event: NetstatdEvent) =>
      event.type === 'connection.event' && event.pid === last && event.state === 'CLOSE';
    await watcher.waitFor('the landmark', isLast, { from });
    const after = await countersFromNowOn();

    // Otherwise what is not seen is no matter of the kernel alone.
    expect(toldLost(watcher, from, 'bus')).toBe(0);
    expect(toldLost(watcher, from, 'client')).toBe(0);
    const mine = new Set([netns!, server!].map(({ inode }) => inode));
    const noise = [...connectsByNamespace()]
      .filter(([name]) => !mine.has(name))
      .reduce((sum, [name, count]) => sum + count - (others.get(name) ?? 0), 0);
    const grew = (name: string) => (after[name] ?? 0) - (before[name] ?? 0);
    const connects = watcher.connections((e) => e.state === 'SYN_SENT' && e.pid === pid);
    // The connections of `staying` are lost as well.
    const counted = connects.length + grew('lost:kernel:CONNECTING') - 20;
    expect(connects.length).toBeGreaterThan(0);
    expect(grew('lost:kernel:CONNECTING')).toBeGreaterThan(0);
    expect(counted).toBeGreaterThanOrEqual(made);
    // Nothing is counted twice: what is over was connected elsewhere on this machine meanwhile.
    expect(counted - made).toBeLessThanOrEqual(noise);
    expect(toldLost(watcher, from, 'kernel')).toBe(grew('lost:kernel'));

    const ports = (client: typeof staying) =>
      client
        .all('connected')
        .map(({ localPort = 0 }) => localPort)
        .sort();
    const open = () =>
      [...tableOf(watcher.events).connections.values()]
        .filter((event) => event.netns === netns!.inode && event.direction === 'outbound')
        .map(({ localPort = 0 }) => localPort)
        .sort();
    await waitFor('the table to be whole', () => open().join() === ports(staying).join()).catch(
      () => undefined,
    );
    expect(open()).toEqual(ports(staying));
    expect(watcher.problems).toEqual([]);
  });

  it('a bus that is killed while connections are made: a client is told all that the services count', async () => {
    const watcher = await watch();
    const counted = async () => {
      const { nodes } = (await up.get('/api/status')) as Status;
      return Object.values(nodes[0]?.lost ?? {}).reduce((sum, count) => sum + count, 0);
    };
    const before = await counted();
    const from = watcher.events.length;
    const told = () =>
      watcher.events
        .slice(from)
        .reduce((sum, e) => sum + (e.type === 'stream.lagged' ? (e.dropped ?? NaN) : 0), 0);

    const bus = up.endpoints().pids.nats;
    const churn = await lab.traffic('churn', ['churn', '--count', String(BUS_CHURN)], {
      netns: netns!,
    });
    await watcher.waitFor('the load', isConnection, { from });
    up.signal('nats', 'SIGKILL');
    await waitFor('another bus', () => (up.endpoints().pids.nats ?? bus) !== bus);
    expect((await churn.said('done')).made).toBe(BUS_CHURN);
    await up.ready();
    await waitFor('a loss to be counted', async () => (await counted()) > before);
    // Heartbeats tell of the counters, each two seconds.
    const settled = async () => told() === (await counted()) - before;
    await waitFor('all of it to be told', settled).catch(() => undefined);
    expect(told()).toBe((await counted()) - before);
    expect(watcher.problems).toEqual([]);
  });
});
