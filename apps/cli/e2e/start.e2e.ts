import type { ConnectionEvent, PortEvent } from '@netstatd/events';
import {
  describeOn,
  Lab,
  startUp,
  tableOf,
  traffic,
  waitFor,
  WHOLE_CHAIN,
  type Netns,
  type Part,
  type Recorder,
  type TrafficProcess,
  type Up,
} from '@netstatd/testkit';

/**
 * What is open in the lab, as lines that can be compared; the same from the truth and from
 * netstatd.
 */
type State = string[];

const EXES = { client: traffic('client'), acceptor: traffic('acceptor') };

describeOn(
  WHOLE_CHAIN,
  'what was open before the start, and after each part was killed (D08)',
  () => {
    let lab: Lab;
    let up: Up;
    let recorder: Recorder;
    let servers: Netns[] = [];
    let clients: Netns[] = [];
    let listeners: { process: TrafficProcess; port: number; pid: number; acceptor: number }[] = [];
    /** Clients that hold their connections, and where to. */
    const holding: { process: TrafficProcess; from: Netns; to: number; containerUid: string }[] =
      [];
    const acceptorGroups: string[] = [];

    beforeAll(async () => {
      lab = new Lab();
      servers = [lab.netns(), lab.netns()];
      clients = [lab.netns(), lab.netns()];
      listeners = await Promise.all(
        servers.map(async (netns) => {
          const group = lab.cgroup();
          acceptorGroups.push(group.containerUid);
          const process = await lab.traffic('listener', ['listen', '--extra', '25', '--hold'], {
            netns,
          });
          const { port = 0, pid } = await process.said('listening', ({ extra }) => !extra);
          return { process, port, pid, acceptor: await process.go('acceptor', group) };
        }),
      );
      await Promise.all([hold(500, 0, 0), hold(500, 1, 1)]);
      up = await startUp();
      recorder = await up.record();
    });
    // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
    afterAll(() => up.stop());
    afterAll(() => lab.close());

    /** Opens connections and keeps them until their process is stopped. */
    async function hold(count: number, client: number, server: number): Promise<void> {
      const [from, to, cgroup] = [clients[client]!, servers[server]!, lab.cgroup()];
      const where = ['--to', to.address4, '--port', String(listeners[server]!.port)];
      const process = await lab.traffic(
        'client',
        ['connect', ...where, '--count', String(count), '--close', 'hold'],
        { netns: from, cgroup },
      );
      await process.said('done', ({ made }) => made === count);
      const { containerUid } = cgroup;
      holding.push({ process, from, to: server, containerUid });
      const accepted = holding
        .filter(({ to }) => to === server)
        .reduce((sum, each) => sum + each.process.all('connected').length, 0);
      await waitFor('accepts', () => listeners[server]!.process.all('accepted').length >= accepted);
    }

    const line = (...parts: unknown[]) => parts.join(' ');

    function trueConnections(): State {
      return holding
        .flatMap(({ process, from, to, containerUid }) => {
          const server = servers[to]!;
          const { port, acceptor } = listeners[to]!;
          return process.all('connected').flatMap(({ pid, localPort }) => {
            const [near, far] = [line(from.address4, localPort), line(server.address4, port)];
            return [
              line(from.inode, near, far, 'outbound', pid, EXES.client, containerUid),
              line(server.inode, far, near, 'inbound', acceptor, EXES.acceptor, acceptorGroups[to]),
            ];
          });
        })
        .sort();
    }

    const inodes = () => new Set([...servers, ...clients].map(({ inode }) => inode));

    const connectionLines = (events: Iterable<ConnectionEvent>): State =>
      [...events]
        .filter(({ netns = 0, protocol }) => protocol === 'TCP' && inodes().has(netns))
        .map((event) => {
          const near = line(event.localIP, event.localPort);
          const far = line(event.remoteIP, event.remotePort);
          const owner = line(event.direction, event.pid, event.exe, event.containerUid);
          return line(event.netns, near, far, owner);
        })
        .sort();

    function expectPorts(events: Iterable<PortEvent>): void {
      const ours = [...events].filter(({ netns = 0 }) => inodes().has(netns));
      for (const [index, { process, port, acceptor, pid }] of listeners.entries()) {
        const here = ours.filter(({ netns }) => netns === servers[index]!.inode);
        const extra = process.all('listening').map((truth) => truth.port);
        expect(here.map((each) => each.port).sort()).toEqual(extra.sort());
        for (const each of here) {
          // Two processes hold the listening socket that the acceptor was given.
          expect(each.port === port ? [pid, acceptor] : [pid]).toContain(each.pid);
          expect(each).toMatchObject({ protocol: 'TCP', ip: '0.0.0.0' });
        }
      }
    }

    /** All items of a list, page by page. */
    async function list<T>(path: string): Promise<T[]> {
      const items: T[] = [];
      for (let cursor = ''; ;) {
        const page = (await up.get(`${path}?limit=300${cursor}`)) as { items: T[]; next?: string };
        items.push(...page.items);
        if (page.next === undefined) return items;
        cursor = `&cursor=${encodeURIComponent(page.next)}`;
      }
    }

    async function expectWhole(): Promise<void> {
      const truth = trueConnections();
      const seen = () => connectionLines(tableOf(recorder.events).connections.values());
      await waitFor('the whole table', () => seen().join('\n') === truth.join('\n')).catch(
        () => undefined,
      );
      expect(missingAndExtra(seen(), truth)).toEqual({ missing: [], extra: [] });
      const listed = connectionLines(await list<ConnectionEvent>('/api/connections'));
      expect(missingAndExtra(listed, truth)).toEqual({ missing: [], extra: [] });
      expectPorts(tableOf(recorder.events).ports.values());
      expectPorts(await list<PortEvent>('/api/ports'));
      expect(recorder.problems).toEqual([]);
    }

    function missingAndExtra(seen: State, truth: State) {
      const [has, should] = [new Set(seen), new Set(truth)];
      return {
        missing: truth.filter((each) => !has.has(each)).slice(0, 3),
        extra: seen
          .filter((each, index) => !should.has(each) || seen[index + 1] === each)
          .slice(0, 3),
      };
    }

    it('lists 1,000 connections and 50 listeners with owner and direction', async () => {
      expect(trueConnections()).toHaveLength(2000);
      await expectWhole();
    });

    it.each<Part>(['collector', 'enricher', 'gateway', 'nats'])(
      'is whole again by itself after kill -9 of %s, while connections come and go',
      async (part) => {
        await hold(50, 0, 1);
        const leaving = holding.pop()!;
        const before = up.endpoints().pids[part];
        up.signal(part, 'SIGKILL');
        // Meanwhile some connections close, and others open.
        await leaving.process.stop();
        await hold(30, 1, 0);
        await waitFor(`a new ${part}`, () => {
          const now = up.endpoints().pids[part];
          return now !== undefined && now !== before;
        });
        await up.ready();
        if (part === 'gateway') {
          expect(recorder.problems).toEqual([]);
          recorder = await up.record();
        }
        await expectWhole();

        await expectLive();
        await expectWhole();
      },
    );

    /** A connection made now is told from its first state to its last. */
    async function expectLive(): Promise<void> {
      await hold(1, 0, 0);
      const { process } = holding.pop()!;
      const pid = process.all('connected')[0]?.pid;
      await process.stop();
      const states = () => recorder.connections((event) => event.pid === pid).map((e) => e.state);
      await waitFor('a live connection', () => states().includes('CLOSE'));
      expect(states()).toEqual(['SYN_SENT', 'ESTABLISHED', 'CLOSE']);
    }
  },
);
