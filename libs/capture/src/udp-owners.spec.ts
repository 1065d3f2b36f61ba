import { Direction, RecordFlag, SocketKind } from '@netstatd/records';
import { describeOn, Lab, waitFor } from '@netstatd/testkit';
import type { Netns } from '@netstatd/testkit';
import { Collected } from './collected.ts';

jest.setTimeout(60_000);

const needs = ['root', 'btf', 'bpf', 'netns', 'cgroup2', 'traffic'] as const;

describeOn([...needs], 'owners of UDP sockets', () => {
  let lab: Lab;
  let netns: Netns;
  let collected: Collected;

  beforeEach(() => {
    lab = new Lab();
    netns = lab.netns();
    collected = new Collected([netns]);
    collected.start();
  });
  afterEach(async () => {
    collected.capture.close();
    await lab.close();
  });

  /** Sends by a process that did not make the socket; its pid and what was told of its flow. */
  async function sendAs(heir: 'inherited' | 'passed', api: string, family: number) {
    const [any, to] = family === 4 ? ['0.0.0.0', netns.address4] : ['::', netns.address6];
    const count = ['--count', '3'];
    const receive = ['receive', '--address', any, ...count];
    const receiver = await lab.traffic('receiver', receive, { netns });
    const { port } = await receiver.said('ready');
    const send = ['send', '--to', to, '--port', String(port), '--api', api, `--${heir}`, ...count];
    const sender = await lab.traffic('sender', send, { netns });
    const { pid, localPort } = await sender.said('done');
    await receiver.said('done');
    await Promise.all([sender.stop(), receiver.stop()]);
    const flows = () =>
      collected.sockets.filter(
        (socket) =>
          socket.localPort === localPort &&
          socket.remotePort === port &&
          (socket.kind === SocketKind.FLOW_OPENED || socket.kind === SocketKind.FLOW_CLOSED),
      );
    await waitFor('the end of the flow', () => flows().length === 2);
    return { pid, flows: flows() };
  }

  const apis = ['sendto', 'send', 'write', 'sendmsg', 'sendmmsg'];
  it.each(apis.flatMap((api) => [4, 6].map((family) => [api, family] as const)))(
    'are the child that sends by what its parent opened: %s, IPv%d',
    async (api, family) => {
      const { pid, flows } = await sendAs('inherited', api, family);
      const fact = {
        ...{ pid, comm: 'traffic-sender', direction: Direction.OUTBOUND, netns: netns.inode },
      };
      expect(flows).toMatchObject([
        { ...fact, kind: SocketKind.FLOW_OPENED },
        { ...fact, kind: SocketKind.FLOW_CLOSED, bytesSent: 300, bytesReceived: 0 },
      ]);
    },
  );

  it.each(apis)('are the process that was handed the socket, and sends by it: %s', async (api) => {
    const { pid, flows } = await sendAs('passed', api, 4);
    expect(flows).toMatchObject([{ pid }, { pid, bytesSent: 300 }]);
  });

  // The system call names the ring, not the socket: only the sendmsg hooks are certain then.
  describeOn(['uring'], 'through io_uring', () => {
    it('are unknown until the next sweep has attached what is needed', async () => {
      const first = await sendAs('inherited', 'uring', 4);
      for (const { flags, pid } of first.flows)
        expect([flags & RecordFlag.OWNER, pid]).toEqual([0, 0]);
      collected.capture.sweepFlows();
      for (const family of [4, 6]) {
        const { pid, flows } = await sendAs('inherited', 'uring', family);
        expect(flows).toMatchObject([{ pid }, { pid, bytesSent: 300 }]);
      }
    });
  });
});
