import { BlockList } from 'node:net';
import { hostname } from 'node:os';
import type { NetstatdEvent } from '@netstatd/events';
import {
  describeOn,
  Lab,
  startUp,
  traffic,
  waitFor,
  WHOLE_CHAIN,
  withQuery,
  type Cgroup,
  type Netns,
  type Query,
  type Recorder,
  type TrafficProcess,
  type Up,
} from '@netstatd/testkit';
import Ajv2020 from 'ajv/dist/2020';
import WebSocket from 'ws';

type Fields = Record<string, unknown>;

/**
 * One value of a parameter against one event, in plain words: what a client would do afterwards.
 */
const MATCH: Record<string, (event: Fields, value: string) => boolean> = {
  protocol: (event, value) => event.protocol === value.toUpperCase(),
  state: (event, value) => event.state === value,
  port: ({ localPort, remotePort, port }, value) =>
    [localPort, remotePort, port].includes(Number(value)),
  ip: (event, value) => addresses(event).some((address) => contains(value, address)),
  family: ({ family, ip }, value) =>
    typeof ip === 'string' ? ip.includes(':') === (value === '6') : family === Number(value),
  exe: ({ exe }, value) => exe === value || String(exe).endsWith(`/${value}`),
  direction: (event, value) => event.direction === value,
  container: ({ containerUid }, value) => String(containerUid).startsWith(value),
  node: (event, value) => event.nodeName === value,
  namespace: (event, value) => event.namespace === value,
  pod: (event, value) => event.podName === value,
  type: (event, value) => event.type === value,
  loopback: (event) => !addresses(event).some((ip) => contains('127.0.0.0/8', ip) || ip === '::1'),
};

function addresses(event: Fields): string[] {
  const { localIP, remoteIP, ip, podIPs = [] } = event;
  return [localIP, remoteIP, ip, podIPs].flat().filter((each) => typeof each === 'string');
}

function contains(network: string, address: string): boolean {
  const [base = '', bits] = network.split('/');
  const family = base.includes(':') ? 'ipv6' : 'ipv4';
  if (address.includes(':') !== (family === 'ipv6')) return false;
  const list = new BlockList();
  list.addSubnet(base, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  return list.check(address, family);
}

/** An event of an opening: some are stamped with the time of asking. */
const timeless = (event: Fields) => JSON.stringify({ ...event, timestamp: '' });

/** Values of a parameter are alternatives, parameters must all hold. */
const passes = (event: Fields, query: Query) =>
  Object.entries(query).every(
    ([name, values]) =>
      name === 'snapshot' || [values].flat().some((value) => MATCH[name]!(event, value)),
  );

describeOn(WHOLE_CHAIN, 'the contract', () => {
  let lab: Lab;
  let up: Up;
  let everything: Recorder;
  let [here, there]: Netns[] = [];
  let group: Cgroup;
  const ports: number[] = [];
  const processes: TrafficProcess[] = [];

  beforeAll(async () => {
    lab = new Lab();
    [here, there] = [lab.netns(), lab.netns()];
    group = lab.cgroup();
    up = await startUp();
    for (const address of ['0.0.0.0', '::']) {
      const listener = await lab.traffic('listener', ['listen', '--address', address, '--hold'], {
        netns: there,
        cgroup: group,
      });
      ports.push((await listener.said('listening')).port ?? 0);
      await listener.go('acceptor');
      processes.push(listener);
    }
    await connections('hold');
    everything = await up.record();
  });
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => up.stop());
  afterAll(() => lab.close());

  /** Connections of every kind: IPv4, IPv6, loopback, refused, with and without a container. */
  async function connections(close: string): Promise<void> {
    const places = [
      ['--to', there!.address4, '--port', String(ports[0])],
      ['--to', there!.address6, '--port', String(ports[1])],
      ['--to', there!.address4, '--port', String(ports[1])],
      ['--to', there!.address4, '--port', '9'],
      ['--to', '127.0.0.1', '--port', String(ports[0])],
    ];
    for (const [index, to] of places.entries()) {
      const netns = index === places.length - 1 ? there! : here!;
      const place = index % 2 === 0 ? { netns, cgroup: group } : { netns };
      const client = await lab.traffic('client', ['connect', ...to, '--close', close], place);
      await client.said('done');
      processes.push(client);
    }
    const receiver = await lab.traffic('receiver', ['receive', '--address', '::'], {
      netns: there!,
    });
    const { port } = await receiver.said('ready');
    for (const to of [there!.address4, there!.address6]) {
      const send = ['send', '--to', to, '--port', String(port), '--hold'];
      const sender = await lab.traffic('sender', send, { netns: here! });
      processes.push(sender);
      await sender.said('done');
    }
    processes.push(receiver);
  }

  /** Whether an event is about the lab: the machine's other processes are nobody's expectation. */
  function isOurs(event: Fields): boolean {
    const inodes: unknown[] = [here!.inode, there!.inode];
    const pids = processes.flatMap(({ truth }) => truth.map(({ pid }) => pid));
    if (event.type === 'process.metainfo') return pids.includes(event.pid as number);
    return inodes.includes(event.netns) || event.containerUid === group.containerUid;
  }

  const ours = (events: readonly NetstatdEvent[], query: Query = {}) =>
    (events as readonly Fields[]).filter((event) => isOurs(event) && passes(event, query));

  /** Split where the opening ends. */
  function parts({ events }: Recorder): { opening: NetstatdEvent[]; live: NetstatdEvent[] } {
    const end = events.findIndex(({ type }) => type === 'snapshot.complete') + 1;
    return { opening: events.slice(0, end), live: events.slice(end) };
  }

  const matrix = (): Query[] => [
    {},
    { protocol: 'TCP' },
    { protocol: 'udp' },
    { state: 'ESTABLISHED' },
    { state: ['SYN_SENT', 'CLOSE'] },
    { port: String(ports[0]) },
    { port: ports.map(String), protocol: 'TCP', direction: 'inbound' },
    { ip: here!.address4 },
    { ip: '10.77.0.0/31' },
    { ip: ['fd77::/64', '127.0.0.1'] },
    { family: '4' },
    { family: '6', direction: 'outbound' },
    { exe: 'traffic-client' },
    { exe: [traffic('acceptor'), 'traffic-sender'] },
    { exe: 'client' },
    { direction: 'inbound' },
    { type: 'port.listening' },
    { type: ['process.metainfo', 'container.added'] },
    { type: 'connection.event', state: 'CLOSE', family: '4' },
    { container: group.containerUid },
    { container: group.containerUid.slice(0, 12), protocol: 'TCP' },
    { loopback: 'false' },
    { node: hostname() },
    { namespace: 'default' },
    { pod: 'web-0' },
    { snapshot: 'false', protocol: 'TCP' },
  ];

  it.each([
    ['port', '0'],
    ['port', '1e3'],
    ['ip', '10.0.0.0/33'],
    ['ip', 'localhost'],
    ['state', 'OPEN'],
    ['protocol', 'SCTP'],
    ['family', '5'],
    ['type', 'connection'],
    ['direction', ''],
    ['loopback', 'no'],
    ['colour', 'red'],
    ['exe', 'x'.repeat(257)],
  ])('refuses %s=%s before the upgrade and in REST, naming it', async (name, value) => {
    const address = (path: string) => withQuery(up.url(path).href, { [name]: value });
    const upgrade = await refusal(address('/conntrack').replace('http', 'ws'));
    const rest = await fetch(address('/api/connections'));
    const answers = [upgrade, { status: rest.status, type: rest.headers.get('content-type') }];
    for (const { status, type } of answers) {
      expect(status).toBe(400);
      expect(type).toMatch(/^application\/problem\+json/);
    }
    for (const body of [upgrade.body, await rest.json()])
      expect(body).toMatchObject({ status: 400, parameter: name });
  });

  describe('REST', () => {
    let openApi: { paths: Record<string, { get: Operation }> };
    const ajv = new Ajv2020({ strict: false, validateFormats: false });

    beforeAll(async () => {
      openApi = (await up.get('/openapi.json')) as typeof openApi;
      ajv.addSchema(openApi, 'openapi');
    });

    /** Why an answer is not what is published, if so. */
    function against(path: string, status: number, type: string, body: unknown) {
      const where = ['paths', path, 'get', 'responses', String(status), 'content', type, 'schema'];
      const pointer = where.map((step) => step.replaceAll('/', '~1')).join('/');
      const validate = ajv.getSchema(`openapi#/${pointer}`);
      if (!validate) return `${pointer} is not published`;
      return validate(body) ? undefined : ajv.errorsText(validate.errors);
    }

    it('answers as published, on both views, whatever the machine is doing', async () => {
      const lists = Object.keys(openApi.paths).filter((path) => path.startsWith('/api/'));
      expect(lists).toEqual(
        expect.arrayContaining([
          ...['/api/containers', '/api/connections', '/api/ports', '/api/ips', '/api/processes'],
          ...['/api/nodes', '/api/dns', '/api/services', '/api/pid-exe', '/api/status'],
        ]),
      );
      for (const view of ['gateway', 'cluster'] as const)
        for (const path of lists) {
          const query = path === '/api/pid-exe' ? `?pid=${process.pid}` : '';
          const answer = await fetch(up.url(path + query, view));
          const body: unknown = await answer.json();
          const against200 = against(path, 200, 'application/json', body);
          expect({ view, path, status: answer.status, against200 }).toEqual({
            ...{ view, path, status: 200, against200: undefined },
          });
        }
    });

    it('pages and filters a list', async () => {
      const list = async (query: Query) => {
        const url = withQuery(up.url('/api/connections').href, query);
        const { items } = (await (await fetch(url)).json()) as { items: Fields[] };
        return items.filter(isOurs).map(({ sockCookie }) => sockCookie);
      };
      const { items } = (await up.get('/api/connections?limit=10000')) as { items: Fields[] };
      // Four connections that were made, by both of their ends.
      expect(items.filter((item) => isOurs(item) && item.protocol === 'TCP')).toHaveLength(8);
      const filters = matrix().filter((query) => !('type' in query) && !('snapshot' in query));
      for (const query of filters) {
        const expected = items.filter((item) => isOurs(item) && passes(item, query));
        const cookies = expected.map(({ sockCookie }) => sockCookie);
        expect({ query, cookies: await list({ ...query, limit: '10000' }) }).toEqual({
          query,
          cookies,
        });
      }
    });

    it.each([
      ['GET', '/api/pid-exe', 400],
      ['GET', '/api/pid-exe?pid=-1', 400],
      ['GET', '/api/pid-exe?pid=1x', 400],
      ['GET', '/api/pid-exe?pid=4194304', 404],
      ['GET', '/api/connections?limit=0', 400],
      ['GET', '/api/connections?cursor=nonsense', 400],
      ['GET', '/api/ports?colour=red', 400],
      ['GET', '/api/nothing', 404],
      ['POST', '/api/connections', 405],
      ['DELETE', '/api/status', 405],
    ])('%s %s is %d, as a problem document', async (method, path, status) => {
      const answer = await fetch(up.url(path), { method });
      expect(answer.status).toBe(status);
      expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
      const body: unknown = await answer.json();
      expect(ajv.validate('openapi#/components/schemas/Problem', body)).toBe(true);
    });

    it('knows the executable of a process', async () => {
      const { pid } = processes.at(-1)!.truth[0]!;
      expect(await up.get(`/api/pid-exe?pid=${pid}`)).toMatchObject({ exe: traffic('receiver') });
    });

    it('counts events by protocol, family and state for Prometheus', async () => {
      const wanted = [
        ['netstatd_events_total', 'protocol="6"', 'family="2"'],
        ['netstatd_events_total', 'protocol="6"', 'family="10"'],
        ['netstatd_events_total', 'protocol="17"', 'family="10"'],
        ['netstatd_events_by_state', 'protocol="6"', 'family="2"', 'state="SYN_SENT"'],
        ['netstatd_events_by_state', 'protocol="17"', 'family="2"', 'state="ESTABLISHED"'],
      ];
      // They come with the enricher's next heartbeat.
      await waitFor('the counters', async () => {
        const lines = (await (await fetch(up.url('/metrics'))).text()).split('\n');
        return wanted.every(([name = '', ...labels]) =>
          lines.some(
            (line) =>
              line.startsWith(`${name}{`) &&
              labels.every((label) => line.includes(label)) &&
              Number(line.split(' ').at(-1)) > 0,
          ),
        );
      });
    });
  });

  it('sends events as the AsyncAPI document says, in the view of all nodes too', async () => {
    const document = (await up.get('/asyncapi.json')) as AsyncApi;
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema(document, 'asyncapi');
    const all = await up.record({}, { view: 'cluster' });
    expect(all.problems).toEqual([]);
    for (const event of [...everything.events, ...all.events]) {
      const valid = ajv.validate(`asyncapi#/components/schemas/${event.type}`, event);
      expect({ event, valid, errors: ajv.errors }).toMatchObject({ valid: true });
    }
    const kinds = new Set(everything.events.map(({ type }) => type));
    for (const type of ['host.info', 'container.added', 'process.metainfo'] as const)
      expect(kinds).toContain(type);
  });

  // The last test: it ends what the others look at.
  it('filters on the server as filtering afterwards would, in the opening and live', async () => {
    const recorders: { query: Query; recorder: Recorder }[] = [];
    const opening = parts(everything).opening;
    const from = everything.events.length;
    for (const [index, query] of matrix().entries())
      recorders.push({ query, recorder: await up.record(query, { batch: index % 2 === 1 }) });
    await connections('active');
    await Promise.all(processes.map((process) => process.stop()));
    // The last things to happen: every listener and every socket has gone.
    const closed = () =>
      ours(everything.events.slice(from)).filter(({ type }) => type === 'port.closed').length;
    await waitFor('the ports to close', () => closed() >= ports.length);

    for (const { query, recorder } of recorders) {
      const live = () => ours(parts(recorder).live).map((event) => JSON.stringify(event));
      const expected = () =>
        ours(everything.events.slice(from), query).map((e) => JSON.stringify(e));
      await waitFor('every event', () => live().join() === expected().join(), 5000).catch(
        () => undefined,
      );
      expect({ query, live: live() }).toEqual({ query, live: expected() });
      const seen = ours(parts(recorder).opening).map(timeless).sort();
      const wanted = query.snapshot === 'false' ? [] : ours(opening, query);
      expect({ query, seen }).toEqual({ query, seen: wanted.map(timeless).sort() });
      expect(recorder.problems).toEqual([]);
      recorder.close();
    }
    expect(everything.problems).toEqual([]);
  });
});

interface Operation {
  responses: Record<string, { content?: Record<string, { schema: object }> }>;
}

interface AsyncApi {
  components: { schemas: Record<string, object> };
}

/** What a server says to a WebSocket client that it does not take. */
function refusal(url: string): Promise<{ status: number; type: string; body: unknown }> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.on('open', () => reject(new Error(`${url} was taken`)));
    socket.on('error', () => undefined);
    socket.on('unexpected-response', (_, response) => {
      let text = '';
      response.on('data', (data: Buffer) => (text += data.toString()));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers['content-type'] ?? '',
          body: JSON.parse(text),
        }),
      );
    });
  });
}
