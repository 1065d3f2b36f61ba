import type { ConnectionEvent } from '@netstatd/events';
import {
  describeOn,
  Lab,
  startUp,
  traffic,
  waitFor,
  WHOLE_CHAIN,
  type Cgroup,
  type Netns,
  type Recorder,
  type Up,
} from '@netstatd/testkit';

interface Flow {
  send: string;
  receive: string;
  family?: 4 | 6;
  /** Flags of the sender: `--mapped` for IPv4 over an IPv6 socket, `--connected`, … */
  more?: string[];
  count?: number;
  size?: number;
  echo?: boolean;
}

/** Bytes of each answer of an echoing receiver. */
const ANSWER = 10;

describeOn(WHOLE_CHAIN, 'UDP flows (A02)', () => {
  let lab: Lab;
  let up: Up;
  let recorder: Recorder;
  let [here, there]: Netns[] = [];
  let [senderGroup, receiverGroup]: Cgroup[] = [];

  beforeAll(async () => {
    lab = new Lab();
    [here, there] = [lab.netns(), lab.netns()];
    [senderGroup, receiverGroup] = [lab.cgroup(), lab.cgroup()];
    up = await startUp();
    recorder = await up.record();
  });
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => up.stop());
  afterAll(() => lab.close());

  it.each<Flow>([
    { send: 'sendto', receive: 'recvfrom' },
    { send: 'sendto', receive: 'recvfrom', family: 6 },
    { send: 'sendto', receive: 'recv' },
    { send: 'sendto', receive: 'read', family: 6 },
    { send: 'sendto', receive: 'recvfrom', echo: true },
    { send: 'send', receive: 'recvfrom', echo: true },
    { send: 'send', receive: 'recvmsg', family: 6, echo: true },
    { send: 'write', receive: 'recv' },
    { send: 'sendmsg', receive: 'recvmsg' },
    { send: 'sendmsg', receive: 'recvmsg', family: 6 },
    { send: 'sendmsg', receive: 'recvmsg', more: ['--connected'] },
    { send: 'sendmmsg', receive: 'recvmmsg' },
    { send: 'sendmmsg', receive: 'recvmmsg', family: 6 },
    { send: 'sendto', receive: 'recvfrom', more: ['--mapped'] },
    { send: 'send', receive: 'recv', more: ['--mapped'] },
    { send: 'sendto', receive: 'recvfrom', size: 0 },
  ])('have their true peer, their owners and exact bytes: %j', expectFlow);

  it.each<Flow>([
    { send: 'sendto', receive: 'recv', count: 10_000, size: 77 },
    { send: 'sendmmsg', receive: 'recvmmsg', family: 6, count: 10_000, size: 1000 },
  ])('are one for 10,000 datagrams, with exact bytes: %j', expectFlow);

  describeOn(['uring'], 'through io_uring', () => {
    it('have their true peer', () => expectFlow({ send: 'uring', receive: 'recvfrom' }));
  });

  async function expectFlow(flow: Flow): Promise<void> {
    const { send, receive, family = 4, more = [], count = 40, size = 100, echo = false } = flow;
    const [from, to] =
      family === 4 ? [here!.address4, there!.address4] : [here!.address6, there!.address6];
    const both = ['--count', String(count), ...(echo ? ['--echo'] : [])];
    const bind = ['--address', family === 4 ? '0.0.0.0' : '::'];
    const receiver = await lab.traffic(
      'receiver',
      ['receive', '--api', receive, ...bind, ...both],
      {
        netns: there!,
        cgroup: receiverGroup!,
      },
    );
    const ready = await receiver.said('ready');
    const sender = await lab.traffic(
      'sender',
      ['send', '--api', send, '--to', to, '--port', String(ready.port), ...more].concat(
        ['--size', String(size)],
        both,
      ),
      { netns: here!, cgroup: senderGroup! },
    );
    const sent = await sender.said('done');
    expect(await receiver.said('done')).toMatchObject({ datagrams: count, bytes: count * size });
    await Promise.all([sender.stop(), receiver.stop()]);

    const flowOf = async (which: (event: ConnectionEvent) => boolean) => {
      const all = () => recorder.connections((event) => event.protocol === 'UDP' && which(event));
      await waitFor(`the end of ${JSON.stringify(flow)}: ${JSON.stringify(all())}`, () =>
        all().some(({ state }) => state === 'CLOSE'),
      );
      return all();
    };
    const [bytes, answers] = [count * size, echo ? count * ANSWER : 0];
    const outbound = {
      type: 'connection.event',
      family,
      direction: 'outbound',
      ...{ localIP: from, localPort: sent.localPort, remoteIP: to, remotePort: ready.port },
      ...{ pid: sent.pid, exe: traffic('sender'), containerUid: senderGroup!.containerUid },
    };
    expect(
      await flowOf((e) => e.netns === here!.inode && e.remotePort === ready.port),
    ).toMatchObject([
      { ...outbound, state: 'ESTABLISHED' },
      { ...outbound, state: 'CLOSE', bytesSent: bytes, bytesReceived: answers },
    ]);
    const inbound = {
      type: 'connection.event',
      family,
      direction: 'inbound',
      ...{ localIP: to, localPort: ready.port, remoteIP: from, remotePort: sent.localPort },
      ...{ pid: ready.pid, exe: traffic('receiver'), containerUid: receiverGroup!.containerUid },
    };
    expect(
      await flowOf((e) => e.netns === there!.inode && e.localPort === ready.port),
    ).toMatchObject([
      { ...inbound, state: 'ESTABLISHED' },
      { ...inbound, state: 'CLOSE', bytesSent: answers, bytesReceived: bytes },
    ]);
    expect(recorder.problems).toEqual([]);
  }
});
