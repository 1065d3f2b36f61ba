import {
  describeOn,
  Lab,
  startUp,
  waitFor,
  WHOLE_CHAIN,
  type Netns,
  type TrafficProcess,
  type Up,
} from '@netstatd/testkit';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';

/** A port as both tell of it: `ss` and netstatd. */
interface Port {
  protocol: string;
  ip: string;
  port: number;
  /** Of the processes that hold it, by `ss`; of the one that owns it, by netstatd. */
  pids: number[];
}

/** `ss` writes `*` for an IPv6 socket that takes IPv4 too, and the interface behind an address. */
function addressOf(text: string): string {
  const address = text.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
  return address === '*' ? '::' : address;
}

/** Ports that the kernel chooses from, for clients and for those who ask for any. */
const [lowest = 0, highest = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
  .split(/\s+/)
  .map(Number);

/**
 * What `ss -lntup` shows in a network namespace. It also shows the UDP sockets of clients, whose ports the kernel
 * chose: others' on this host are left out.
 */
function shown(netns: Netns | undefined): Port[] {
  const inside = netns ? [`--net=${netns.path}`] : ['--net=/proc/self/ns/net'];
  const command = [...inside, '--', 'ss', '-H', '-lntup'];
  const text = execFileSync('nsenter', command, { encoding: 'utf8' });
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [protocol = '', , , , local = '', , users = ''] = line.trim().split(/\s+/);
      const colon = local.lastIndexOf(':');
      return {
        protocol: protocol.toUpperCase(),
        ip: addressOf(local.slice(0, colon)),
        port: Number(local.slice(colon + 1)),
        pids: [...users.matchAll(/pid=(\d+)/g)].map(([, pid]) => Number(pid)),
      };
    })
    .filter((port) => netns !== undefined || !isChosen(port));
}

const hostNetns = statSync('/proc/self/ns/net').ino;

const isChosen = ({ protocol, port }: Port) =>
  protocol === 'UDP' && port >= lowest && port <= highest;

interface PortItem {
  protocol: string;
  ip: string;
  port: number;
  netns: number;
  pid?: number;
  addresses?: string[];
}

describeOn([...WHOLE_CHAIN, 'ss'], 'listening ports (A60, A61)', () => {
  let lab: Lab;
  let up: Up;
  let early: TrafficProcess;
  let [first, second]: Netns[] = [];

  beforeAll(async () => {
    lab = new Lab();
    [first, second] = [lab.netns(), lab.netns()];
    early = await opener(first);
    await open(early, 1, 'tcp 0.0.0.0 7001');
    await open(early, 2, 'udp :: 7002');
    up = await startUp();
  });
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => up.stop());
  afterAll(() => lab.close());

  function opener(netns: Netns | undefined): Promise<TrafficProcess> {
    return lab.traffic('opener', ['ports'], { netns: netns! });
  }

  /** @returns the port that was opened */
  async function open(process: TrafficProcess, id: number, what: string): Promise<number> {
    const before = process.all('opened').length;
    process.tell(`open ${id} ${what}`);
    const { port = 0 } = await waitFor(what, () => process.all('opened')[before]);
    return port;
  }

  async function close(process: TrafficProcess, id: number): Promise<void> {
    const before = process.all('closed').length;
    process.tell(`close ${id}`);
    await waitFor(`closed ${id}`, () => process.all('closed').length > before);
  }

  /** What netstatd tells of a network namespace. */
  async function told(inode: number): Promise<Port[]> {
    const { items } = (await up.get('/api/ports?limit=10000')) as { items: PortItem[] };
    return items
      .filter(({ netns }) => netns === inode)
      .map(({ protocol, ip, port, pid }) => ({
        ...{ protocol, ip, port },
        pids: pid === undefined ? [] : [pid],
      }))
      .filter((port) => inode !== hostNetns || !isChosen(port));
  }

  /** One line a port; those that a program opened for itself and `ss` lists once for each socket are one. */
  const lines = (ports: Port[]) =>
    [...new Set(ports.map(({ protocol, ip, port }) => `${protocol} ${ip} ${port}`))].sort();

  /** Waits until netstatd tells of a namespace what `ss` shows there, owners included. */
  async function expectEqual(netns: Netns | undefined): Promise<void> {
    const inode = netns?.inode ?? hostNetns;
    const differences = async () => {
      const [ours, theirs] = [await told(inode), shown(netns)];
      const strangers = ours
        .filter(
          (our) =>
            !theirs.some(
              (their) =>
                lines([their])[0] === lines([our])[0] &&
                our.pids.every((pid) => their.pids.includes(pid)),
            ),
        )
        .map((our) => `${lines([our])[0]} is not held by ${our.pids.join()}`);
      // Nobody that is seen from here may hold it.
      const owned = new Set(lines(theirs.filter(({ pids }) => pids.length > 0)));
      const unowned = lines(ours.filter(({ pids }) => pids.length === 0))
        .filter((line) => owned.has(line))
        .map((line) => `${line} has no owner`);
      const [ourLines, theirLines] = [new Set(lines(ours)), new Set(lines(theirs))];
      return [
        ...[...theirLines]
          .filter((line) => !ourLines.has(line))
          .map((line) => `${line} is missing`),
        ...[...ourLines].filter((line) => !theirLines.has(line)).map((line) => `${line} is extra`),
        ...strangers,
        ...unowned,
      ];
    };
    let last: string[] = [];
    await waitFor(
      'the same ports',
      async () => (last = await differences()).length === 0,
      15_000,
    ).catch(() => undefined);
    expect(last).toEqual([]);
  }

  it('are those of ss, after every step, in every namespace', async () => {
    const everywhere = async () => {
      for (const netns of [first, second, undefined]) await expectEqual(netns);
    };
    await everywhere();

    const one = await opener(first);
    const two = await opener(second);
    const three = await opener(second);
    const chosen = await open(one, 1, 'tcp 127.0.0.1 0');
    expect(chosen).toBeGreaterThan(0);
    await open(one, 2, `tcp ${first!.address4} 7003`);
    await open(one, 3, 'tcp :: 7004 v6only');
    await open(one, 4, 'tcp 0.0.0.0 7004');
    await open(one, 5, `tcp ${first!.address6} 7005`);
    await open(one, 6, 'udp 0.0.0.0 7003');
    await open(one, 7, 'udp ::1 7006');
    await everywhere();

    // The same endpoint in another namespace, and a group of two processes that share one.
    await open(two, 1, 'tcp :: 7004 reuseport');
    await open(three, 1, 'tcp :: 7004 reuseport');
    await open(two, 2, 'udp :: 7007 reuseport');
    await open(two, 3, 'udp :: 7007 reuseport');
    await open(three, 2, 'udp 0.0.0.0 7007 reuseport');
    await everywhere();
    await close(two, 1);
    await close(two, 2);
    await everywhere();
    await open(two, 1, 'tcp :: 7004 reuseport');
    await close(three, 1);
    await everywhere();

    await close(early, 1);
    await close(one, 3);
    await everywhere();
    // Reused by another process at once.
    await close(one, 4);
    await open(early, 1, 'tcp 0.0.0.0 7004');
    await everywhere();
    one.kill();
    await one.ended;
    await everywhere();
  });

  it('on any address are told with the addresses that this stands for', async () => {
    const process = await opener(first);
    await open(process, 1, 'tcp 0.0.0.0 7020');
    await open(process, 2, 'udp :: 7021');
    await open(process, 3, `tcp ${first!.address4} 7022`);
    const items = await waitFor('three ports', async () => {
      const found = await Promise.all(
        [7020, 7021, 7022].map((port) => up.get(`/api/ports?port=${port}`)),
      );
      const all = found.flatMap((answer) => (answer as { items: PortItem[] }).items);
      return all.length === 3 && all;
    });
    expect(items.map(({ addresses }) => addresses)).toEqual([
      [first!.address4],
      [first!.address6],
      undefined,
    ]);
    const ips = (await up.get(`/api/ips?limit=10000`)) as {
      items: { ip: string; listening: number }[];
    };
    const listening = ips.items.find(({ ip }) => ip === first!.address4)?.listening ?? 0;
    expect(listening).toBeGreaterThanOrEqual(2);
    process.kill();
    await process.ended;
  });

  it('stay when their opener ends and a child holds them, and have an owner then', async () => {
    const parent = await opener(second);
    await open(parent, 1, 'tcp 0.0.0.0 7010');
    await open(parent, 2, 'udp 0.0.0.0 7010');
    await expectEqual(second);
    parent.tell('share');
    const { pid } = await parent.said('shared');
    try {
      await expectEqual(second);
      parent.tell('leave');
      await waitFor('the opener to end', () => !lives(parent));
      await expectEqual(second);
      expect(await told(second!.inode)).toContainEqual({
        ...{ protocol: 'TCP', ip: '0.0.0.0', port: 7010, pids: [pid] },
      });
    } finally {
      process.kill(pid, 'SIGKILL');
    }
    await expectEqual(second);
    expect(await told(second!.inode)).not.toContainEqual(expect.objectContaining({ port: 7010 }));
  });
});

/** Whether the opener itself still lives, whatever became of its children. */
function lives(opener: TrafficProcess): boolean {
  try {
    return process.kill(opener.truth[0]?.pid ?? 0, 0);
  } catch {
    return false;
  }
}
