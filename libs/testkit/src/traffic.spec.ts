import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Lab } from './lab.ts';
import { describeOn } from './machine.ts';

describeOn(['root', 'netns', 'cgroup2', 'traffic'], 'the traffic generator', () => {
  let lab: Lab;
  beforeAll(() => {
    lab = new Lab();
  });
  afterAll(() => lab.close());

  it.each(['active', 'passive', 'reset', 'exit'])(
    'makes connections of three processes: %s',
    async (mode) => {
      const [server, elsewhere, client] = [lab.netns(), lab.netns(), lab.netns()];
      const cgroup = lab.cgroup();
      const listener = await lab.traffic(
        'listener',
        ['listen', '--netns', elsewhere.path, '--reply', '100'],
        { netns: server },
      );
      const { port } = await listener.said('listening');
      const acceptor = await listener.go('acceptor', cgroup);
      await listener.said('ready');
      expect(readFileSync(join(cgroup.path, 'cgroup.procs'), 'utf8')).toBe(`${acceptor}\n`);

      const to = ['--to', server.address4, '--port', String(port)];
      const made = await lab.traffic(
        'client',
        ['connect', ...to, '--count', '20', '--close', mode],
        {
          netns: client,
        },
      );
      expect(await made.said('done')).toMatchObject({ made: 20, failed: 0 });
      const ports = made.all('connected').map(({ localPort }) => localPort);
      expect(new Set(ports).size).toBe(20);
      expect(new Set(made.all('connected').map(({ pid }) => pid)).size).toBe(
        mode === 'exit' ? 20 : 1,
      );
      await listener.said('accepted', () => listener.all('accepted').length === 20);
    },
  );

  describeOn(['uring'], 'through io_uring', () => {
    it('speaks TCP and UDP', async () => {
      const netns = lab.netns();
      const listener = await lab.traffic('listener', ['listen', '--api', 'uring'], { netns });
      const { port } = await listener.said('listening');
      await listener.go('acceptor');
      const to = ['--to', '127.0.0.1', '--api', 'uring', '--port'];
      const client = await lab.traffic('client', ['connect', ...to, String(port)], { netns });
      await client.said('done', ({ made }) => made === 1);
      await listener.said('accepted');
      const receiver = await lab.traffic('receiver', ['receive'], { netns });
      const ready = await receiver.said('ready');
      await lab.traffic('sender', ['send', ...to, String(ready.port)], { netns });
      expect(await receiver.said('done')).toMatchObject({ datagrams: 1, bytes: 100 });
    });
  });

  it.each([
    ['sendto', 'recvfrom', []],
    ['send', 'recv', []],
    ['write', 'read', []],
    ['sendmsg', 'recvmsg', ['--mapped']],
    ['sendmmsg', 'recvmmsg', []],
  ])('loses no datagram of one flow: %s, %s', async (send, receive, more) => {
    const [here, there] = [lab.netns(), lab.netns()];
    const count = ['--count', '10000'];
    const receiver = await lab.traffic('receiver', ['receive', '--api', receive, ...count], {
      netns: there,
    });
    const { port } = await receiver.said('ready');
    const to = ['--to', there.address4, '--port', String(port), '--size', '33', '--api', send];
    await lab.traffic('sender', ['send', ...to, ...count, ...more], { netns: here });
    expect(await receiver.said('done')).toMatchObject({ datagrams: 10_000, bytes: 330_000 });
  });

  it('churns without a failure', async () => {
    const churn = await lab.traffic('churn', ['churn', '--count', '30000'], { netns: lab.netns() });
    expect(await churn.said('done')).toMatchObject({ made: 30_000, failed: 0 });
  });

  it('says why a connect failed', async () => {
    const netns = lab.netns();
    const to = ['--to', '127.0.0.1', '--port', '9'];
    const client = await lab.traffic('client', ['connect', ...to], { netns });
    expect(await client.said('failed')).toMatchObject({ error: 'ECONNREFUSED' });
  });
});

describeOn(['root', 'netns', 'cgroup2'], 'a lab', () => {
  it('leaves no namespace and no cgroup', async () => {
    const lab = new Lab();
    const { path } = lab.netns();
    const cgroup = lab.cgroup();
    expect(existsSync(path) && existsSync(cgroup.path)).toBe(true);
    const names = readdirSync('/run/netns').length;
    await lab.close();
    expect(existsSync(path) || existsSync(cgroup.path)).toBe(false);
    expect(readdirSync('/run/netns').length).toBeLessThan(names);
  });
});
