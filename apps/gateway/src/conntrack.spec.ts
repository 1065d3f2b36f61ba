import { subjects } from '@netstatd/bus';
import { makeRow, type NetstatdEvent } from '@netstatd/events';
import { Recorder, waitFor } from '@netstatd/testkit';
import { once } from 'node:events';
import { request } from 'node:http';
import WebSocket from 'ws';
import { Machine } from './fixtures/machine.ts';
import { scriptedTime, type ScriptedNode } from './fixtures/scripted-node.ts';

let machine: Machine;
let node: ScriptedNode;
const recorders: Recorder[] = [];

async function record(...args: Parameters<typeof Recorder.open>): Promise<Recorder> {
  const recorder = await Recorder.open(...args);
  recorders.push(recorder);
  return recorder;
}

const cookies = (recorder: Recorder, state = 'ESTABLISHED') =>
  recorder
    .connections((event) => event.state === state)
    .flatMap(({ sockCookie }) => sockCookie ?? []);

const typesOf = (events: readonly NetstatdEvent[]) => events.map(({ type }) => type);

const lagsOf = (recorder: Recorder) =>
  recorder.events.filter((event) => event.type === 'stream.lagged');

/** The answer to an upgrade that is refused. */
async function refusal(url: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(url, { headers });
  const [, response] = (await once(socket, 'unexpected-response')) as [
    unknown,
    import('node:http').IncomingMessage,
  ];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode, type: response.headers['content-type'], body };
}

beforeEach(async () => {
  machine = await Machine.start();
  node = await machine.node('alpha');
  await waitFor('the bus', () => node.bus.connected && machine.bus.connected);
  node.rows.push(
    makeRow('container.added', { timestamp: scriptedTime, containerUid: 'c1' }),
    makeRow('process.metainfo', { timestamp: scriptedTime, pid: 7, exe: '/usr/bin/curl' }),
    makeRow('port.listening', {
      timestamp: scriptedTime,
      protocol: 'TCP',
      ip: '0.0.0.0',
      port: 80,
    }),
  );
});

afterEach(async () => {
  const problems = recorders.flatMap((recorder) => recorder.problems);
  for (const recorder of recorders.splice(0)) recorder.close();
  await machine.stop();
  expect(problems).toEqual([]);
});

describe.each([{ batch: false }, { batch: true }])('a client, batch: $batch', ({ batch }) => {
  it('gets the opening in order, then live events, each once (A33)', async () => {
    for (let cookie = 1; cookie <= 1000; cookie++) node.connect(cookie, { pid: 7 });
    // Events go on while the opening is sent.
    let next = 1001;
    const traffic = setInterval(() => node.connect(next++, { pid: 7 }), 1);
    const recorder = await record(machine.webSocket(), {}, { batch });
    await waitFor('live events', () => next > 1200);
    clearInterval(traffic);
    await waitFor('the last event', () => cookies(recorder).length >= next - 1);
    expect(cookies(recorder).sort((a, b) => a - b)).toEqual(
      Array.from({ length: next - 1 }, (_, index) => index + 1),
    );
    expect(typesOf(recorder.events.slice(0, 5))).toEqual([
      ...['host.info', 'container.added', 'process.metainfo'],
      ...['port.listening', 'connection.event'],
    ]);
  });

  it('without a snapshot gets live events only', async () => {
    node.connect(1);
    node.publisher.flush();
    await node.bus.flush();
    const recorder = await record(machine.webSocket(), { snapshot: 'false' }, { batch });
    // The subscription needs a moment to reach the bus.
    let cookie = 2;
    await waitFor('an event', () => {
      node.connect(cookie++);
      return recorder.events.length > 0;
    });
    expect(new Set(typesOf(recorder.events))).toEqual(new Set(['connection.event']));
    expect(cookies(recorder)).not.toContain(1);
  });
});

it('filters on the server, and shares what equal filters select', async () => {
  const exact = await record(machine.webSocket(), { port: '443', direction: 'inbound' });
  const same = await record(machine.webSocket(), { direction: 'inbound', port: '443' });
  const all = await record(machine.webSocket());
  for (let cookie = 1; cookie <= 100; cookie++) {
    node.connect(cookie, {
      direction: cookie % 2 === 0 ? 'inbound' : 'outbound',
      remotePort: cookie % 3 === 0 ? 443 : 80,
    });
  }
  await waitFor('all events', () => cookies(all).length === 100);
  const expected = cookies(all).filter((cookie) => cookie % 6 === 0);
  await waitFor('filtered events', () => cookies(exact).length >= expected.length);
  expect(cookies(exact)).toEqual(expected);
  expect(cookies(same)).toEqual(expected);
});

it('tells of a restarted enricher and gives the state again', async () => {
  node.connect(1);
  const recorder = await record(machine.webSocket());
  const from = recorder.events.length;
  node.disconnect(1);
  node.connectUnheard(2);
  node.restart();
  await recorder.waitFor('the new state', ({ type }) => type === 'snapshot.complete', { from });
  expect(lagsOf(recorder)).toEqual([expect.objectContaining({ place: 'restart' })]);
  expect(cookies(recorder)).toEqual([1, 2]);
});

it('tells how many events the bus lost', async () => {
  const recorder = await record(machine.webSocket());
  const from = recorder.events.length;
  await waitFor('a first batch', () => node.publisher.seq > 0);
  // The bus forgets: published batches that nobody gets, as the gateway's own gap.
  const { bus } = node;
  const publish = bus.publish.bind(bus);
  bus.publish = () => true;
  for (let cookie = 1; cookie <= 10; cookie++) node.connect(cookie);
  node.publisher.flush();
  bus.publish = publish;
  await recorder.waitFor('the new state', ({ type }) => type === 'snapshot.complete', { from });
  expect(lagsOf(recorder)).toEqual([expect.objectContaining({ place: 'bus', dropped: 10 })]);
  expect(cookies(recorder)).toHaveLength(10);
});

it('tells what was lost before the bus, though the events that told it are missed or in the state', async () => {
  const lag = (dropped: number) =>
    node.publisher.publish(makeRow('stream.lagged', { timestamp: scriptedTime, dropped }));
  // Before there is a client.
  lag(100_000);
  node.publisher.flush();
  const recorder = await record(machine.webSocket());
  const from = recorder.events.length;
  await waitFor('a first batch', () => node.publisher.seq > 1);
  const { bus } = node;
  const publish = bus.publish.bind(bus);
  const forget = (dropped: number) => {
    bus.publish = () => true;
    lag(dropped);
    node.publisher.flush();
    bus.publish = publish;
  };
  // In a gap; in a batch that waits for the state, which has it; behind all that is heard before the state.
  forget(1000);
  lag(200);
  node.publisher.flush();
  forget(30);
  await recorder.waitFor('the new state', ({ type }) => type === 'snapshot.complete', { from });
  lag(4);
  await recorder.waitFor('the last loss', (event) => 'dropped' in event && event.dropped === 4);
  const told = lagsOf(recorder).map((event) => ('dropped' in event ? event.dropped : undefined));
  // And the three events.
  expect(told.reduce((sum = NaN, each = NaN) => sum + each, 0)).toBe(1234 + 3);
});

it('waits for an enricher that is frozen, serves others meanwhile, and it when it is back', async () => {
  node.publisher.close();
  const frozen = node.bus.subscribe(subjects('alpha').snapshot, () => undefined);
  await node.bus.flush();
  const opening = record(machine.webSocket());
  const listing = fetch(machine.http('/api/connections'));
  const beta = await machine.node('beta');
  beta.connect(2);
  await waitFor('another node', () => machine.gateway.nodes.present().length === 2);
  const other = await record(machine.webSocket('cluster'), { node: 'beta' });
  expect(cookies(other)).toEqual([2]);
  expect((await fetch(machine.http('/healthz'))).status).toBe(200);
  expect((await listing).status).toBe(503);
  frozen.close();
  node.connect(1);
  node.restart();
  expect(cookies(await opening)).toEqual([1]);
}, 60_000);

it.each([{ batch: false }, { batch: true }])(
  'a client that stops reading is told what it lost, and nobody else notices: $batch',
  async ({ batch }) => {
    const slow = await record(machine.webSocket(), { direction: 'outbound' }, { batch });
    const quick = await record(machine.webSocket(), {}, { batch: true });
    const from = slow.events.length;
    slow.pause();
    let cookie = 0;
    // Long executables fill the sockets' buffers, and then the mark, with fewer events.
    const exe = `/${'x'.repeat(2000)}`;
    await waitFor('the slow client to fall behind', () => {
      for (let count = 0; count < 250; count++) {
        cookie += 1;
        node.connect(cookie, { exe });
        node.disconnect(cookie);
      }
      return machine.gateway.counters.clientDropped > 1000;
    });
    await waitFor('the quick client', () => cookies(quick, 'CLOSE').length === cookie);
    expect(lagsOf(quick)).toEqual([]);
    slow.resume();
    await slow.waitFor('a new state', ({ type }) => type === 'snapshot.complete', { from });
    const seen = cookies(slow).length + cookies(slow, 'CLOSE').length;
    const dropped = lagsOf(slow).map((event) => (event as { dropped?: number }).dropped ?? NaN);
    expect(seen + dropped.reduce((sum, each) => sum + each, 0)).toBe(2 * cookie);
    expect(lagsOf(slow)[0]).toMatchObject({ place: 'client' });
    node.connect(cookie + 1);
    await slow.waitFor(
      'live events',
      (event) => 'sockCookie' in event && event.sockCookie === cookie + 1,
    );
  },
  120_000,
);

it.each([
  ['?port=0', 'port'],
  ['?port=80&port=x', 'port'],
  ['?ip=1.2.3.4/99', 'ip'],
  ['?family=5', 'family'],
  ['?type=nothing', 'type'],
  ['?loopback=maybe', 'loopback'],
  ['?snapshot=true&snapshot=false', 'snapshot'],
  ['?nonsense=1', 'nonsense'],
  [`?exe=${'x'.repeat(300)}`, 'exe'],
  ['?limit=3', 'limit'],
])('refuses %s before the upgrade, naming the parameter', async (query, parameter) => {
  const { status, type, body } = await refusal(machine.webSocket() + query);
  expect([status, type]).toEqual([400, 'application/problem+json']);
  expect(JSON.parse(body)).toMatchObject({ status: 400, parameter });
});

it('refuses pages of other origins, other paths, and what is no WebSocket', async () => {
  const url = machine.webSocket();
  const { host } = new URL(url);
  expect(await refusal(url, { origin: 'http://evil.example' })).toMatchObject({ status: 403 });
  expect(await refusal(url, { origin: 'null' })).toMatchObject({ status: 403 });
  expect(await refusal(`${url}/more`)).toMatchObject({ status: 404 });
  await record(url);
  const own = new WebSocket(url, { headers: { origin: `http://${host}` } });
  await once(own, 'open');
  own.terminate();
  const { port } = new URL(url);
  const headers = { connection: 'upgrade', upgrade: 'websocket' };
  const raw = request({ port, path: '/conntrack', headers }).end();
  const [response] = (await once(raw, 'response')) as [import('node:http').IncomingMessage];
  expect(response.statusCode).toBe(400);
  response.resume();
});

it('closes a client that sends more than control frames need', async () => {
  const socket = new WebSocket(machine.webSocket());
  await once(socket, 'open');
  socket.send('x'.repeat(2000));
  const [code] = (await once(socket, 'close')) as [number];
  expect(code).toBe(1009);
});

describe('port 6280', () => {
  it('shows every node, and names one that falls silent', async () => {
    const other = await machine.node('beta');
    node.connect(1);
    other.connect(1);
    await waitFor('both nodes', () => machine.gateway.nodes.present().length === 2);
    const recorder = await record(machine.webSocket('cluster'));
    await waitFor('both states', () => cookies(recorder).length === 2);
    const own = await record(machine.webSocket('cluster'), { node: 'beta' });
    expect(own.events.every(({ nodeName }) => nodeName === 'beta')).toBe(true);
    await other.stop();
    machine.nodes.pop();
    const lost = await recorder.waitFor('the loss', ({ type }) => type === 'node.lost');
    expect(lost).toMatchObject({
      nodeName: 'beta',
      reason: expect.stringContaining('silent') as string,
    });
    const nodes = await (
      await fetch(machine.http('/api/nodes', machine.gateway.clusterPort))
    ).json();
    expect(nodes).toMatchObject({
      items: [
        { nodeName: 'alpha', state: 'up' },
        { nodeName: 'beta', state: 'lost' },
      ],
    });
    const from = recorder.events.length;
    const back = await machine.node('beta');
    back.connect(2);
    await recorder.waitFor('its return', ({ type }) => type === 'node.up', { from });
    await recorder.waitFor('its state', ({ type }) => type === 'snapshot.complete', { from });
    node.connect(3);
    await waitFor('live events', () => cookies(recorder).includes(3));
  });
});
