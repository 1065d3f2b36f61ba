import { eventTypes, makeRow } from '@netstatd/events';
import { waitFor } from '@netstatd/testkit';
import Ajv from 'ajv/dist/2020';
import fc from 'fast-check';
import { Listener } from '../listener.ts';
import { Machine } from '../fixtures/machine.ts';
import { scriptedTime, type ScriptedNode } from '../fixtures/scripted-node.ts';
import { answers, lists, problemSchema } from './answers.ts';
import { parseServices } from './service-names.ts';

let machine: Machine;
let node: ScriptedNode;

const timestamp = scriptedTime;
const listed = Object.keys(lists) as (keyof typeof lists)[];

interface List {
  items: { sockCookie?: number; nodeName?: string; [name: string]: unknown }[];
  next?: string;
  missing?: unknown[];
}

async function get(path: string, port?: number) {
  const response = await fetch(machine.http(path, port));
  const type = response.headers.get('content-type') ?? '';
  const body: unknown = type.includes('json') ? await response.json() : await response.text();
  return { status: response.status, type, body, headers: response.headers };
}

const list = async (path: string, port?: number) => (await get(path, port)).body as List;

beforeAll(async () => {
  machine = await Machine.start();
  node = await machine.node('alpha');
  const other = await machine.node('beta');
  node.rows.push(
    makeRow('container.added', {
      timestamp,
      containerUid: 'c1',
      podName: 'web-1',
      namespace: 'shop',
      podIPs: ['10.1.0.5'],
    }),
    makeRow('container.added', { timestamp, containerUid: 'c2', podName: 'db', namespace: 'data' }),
    makeRow('process.metainfo', { timestamp, pid: 7, exe: '/usr/bin/curl', comm: 'curl' }),
    makeRow('process.metainfo', { timestamp, pid: 8 }),
    makeRow('port.listening', { timestamp, protocol: 'TCP', ip: '10.1.0.5', port: 80 }),
    makeRow('port.listening', { timestamp, protocol: 'UDP', ip: '::', port: 53 }),
  );
  for (let cookie = 1; cookie <= 25; cookie++) node.connect(cookie, { remotePort: 400 + cookie });
  node.connect(26, { remoteIP: '127.0.0.1', localIP: '127.0.0.1', comm: 'a\n"b' });
  other.connect(1);
  await waitFor('both nodes', () => machine.gateway.nodes.present().length === 2);
});

afterAll(() => machine.stop());

it('every answer has the shape that its schema and OpenAPI publish', async () => {
  const document = (await get('/openapi.json')).body as {
    openapi: string;
    paths: Record<
      string,
      { get: { responses: Record<string, { content: Record<string, { schema: object }> }> } }
    >;
  };
  expect(document.openapi).toBe('3.1.0');
  const ajv = new Ajv({ strict: false, validateFormats: false });
  for (const port of [machine.gateway.nodePort, machine.gateway.clusterPort]) {
    for (const [path, schema] of [...Object.entries(lists), ...Object.entries(answers)]) {
      const query = path === '/api/pid-exe' ? '?pid=7&node=alpha' : '';
      const { status, body } = await get(path + query, port);
      expect([path, status]).toEqual([path, 200]);
      expect(schema.safeParse(body).error).toBeUndefined();
      const published = document.paths[path]?.get.responses['200']?.content['application/json'];
      expect(ajv.validate(published?.schema ?? false, body)).toBe(true);
    }
  }
  const asyncapi = (await get('/asyncapi.json')).body as { asyncapi: string };
  expect(asyncapi.asyncapi).toMatch(/^3\./);
});

it('lists what the node has, filtered (A20)', async () => {
  const count = async (path: string) => (await list(path)).items.length;
  expect(await count('/api/connections')).toBe(26);
  expect(await count('/api/connections?port=401&port=402')).toBe(2);
  expect(await count('/api/connections?loopback=false')).toBe(25);
  expect(await count('/api/connections?type=host.info')).toBe(0);
  expect(await count('/api/connections?node=elsewhere')).toBe(0);
  expect(await count('/api/containers')).toBe(2);
  expect(await count('/api/containers?namespace=shop')).toBe(1);
  expect(await count('/api/containers?pod=db')).toBe(1);
  expect(await count('/api/containers?podName=db')).toBe(1);
  expect(await count('/api/containers?podName=db&namespace=shop')).toBe(0);
  expect(await count('/api/ports?protocol=UDP')).toBe(1);
  expect(await count('/api/processes?exe=curl')).toBe(1);
  expect(await count('/api/services?port=443&protocol=TCP')).toBe(1);
  expect(await count('/api/dns')).toBe(0);
  const addresses = (await list('/api/ips')).items;
  expect(
    addresses.map(({ ip, kind, connections, listening }) => ({ ip, kind, connections, listening })),
  ).toEqual([
    { ip: '10.0.0.1', kind: 'host', connections: 25, listening: 0 },
    { ip: '10.1.0.5', kind: 'pod', connections: 0, listening: 1 },
    { ip: '127.0.0.1', kind: 'loopback', connections: 1, listening: 0 },
    { ip: '192.0.2.1', connections: 25, listening: 0 },
  ]);
});

it.each(['node', 'cluster'] as const)('pages through a list, each item once: %s', async (kind) => {
  const { nodePort, clusterPort } = machine.gateway;
  const port = kind === 'node' ? nodePort : clusterPort;
  const seen: string[] = [];
  let cursor = '';
  do {
    const page = await list(`/api/connections?limit=10${cursor}`, port);
    expect(page.items.length).toBeLessThanOrEqual(10);
    seen.push(...page.items.map(({ nodeName, sockCookie }) => `${nodeName} ${sockCookie}`));
    cursor = page.next === undefined ? '' : `&cursor=${page.next}`;
  } while (cursor !== '');
  const alpha = Array.from({ length: 26 }, (_, index) => `alpha ${index + 1}`);
  expect(seen).toEqual(kind === 'node' ? alpha : [...alpha, 'beta 1']);
  const names = await list('/api/services?limit=3');
  expect(names.items).toHaveLength(3);
  const rest = await list(`/api/services?limit=3&cursor=${names.next}`);
  expect(rest.items[0]).not.toEqual(names.items[0]);
});

it('knows the executable of a pid (A22)', async () => {
  expect(await get('/api/pid-exe?pid=7')).toMatchObject({ body: { pid: 7, exe: '/usr/bin/curl' } });
  expect(await get('/api/pid-exe?pid=9')).toMatchObject({ status: 404 });
  for (const bad of [
    '',
    '?pid=',
    '?pid=0',
    '?pid=-1',
    '?pid=1e3',
    '?pid=4194305',
    '?pid=1&pid=2',
    '?pid=1&x=2',
  ]) {
    expect([bad, (await get(`/api/pid-exe${bad}`)).status]).toEqual([bad, 400]);
  }
  const cluster = machine.gateway.clusterPort;
  expect(await get('/api/pid-exe?pid=7', cluster)).toMatchObject({
    status: 400,
    body: { parameter: 'node' },
  });
  expect(await get('/api/pid-exe?pid=7&node=gamma', cluster)).toMatchObject({ status: 404 });
});

it('says what was seen and lost', async () => {
  const { body } = await get('/api/status');
  expect(body).toMatchObject({
    view: 'node',
    nodes: [{ nodeName: 'alpha', state: 'up', seen: 7, lost: { kernel: 3, bus: 0 } }],
  });
  const { body: metrics, type } = await get('/metrics');
  expect(type).toContain('text/plain');
  expect(metrics).toContain('netstatd_events_total{protocol="6",family="2"} 5');
  expect(metrics).toContain(
    'netstatd_events_by_state{protocol="6",family="2",state="ESTABLISHED"} 5',
  );
});

it('answers errors as problem documents', async () => {
  const cases: [string, RequestInit, number][] = [
    ['/nothing', {}, 404],
    ['/api/connections/', {}, 404],
    ['/API/connections', {}, 404],
    ['/%ff', {}, 404],
    ['/..%2f..%2fetc/passwd', {}, 404],
    ['/conntrack', {}, 426],
    ['/api/status?x=1', {}, 400],
    ['/api/connections?limit=0', {}, 400],
    ['/api/connections?limit=10001', {}, 400],
    ['/api/connections?limit=1&limit=2', {}, 400],
    ['/api/connections?cursor=!', {}, 400],
    ['/api/connections?snapshot=false', {}, 400],
    ['/api/connections?podName=x', {}, 400],
    ['/api/services?namespace=x', {}, 400],
    ['/', { method: 'POST' }, 405],
    ...listed.map((path): [string, RequestInit, number] => [path, { method: 'DELETE' }, 405]),
  ];
  for (const [path, init, expected] of cases) {
    const response = await fetch(machine.http(path), init);
    expect([path, response.status]).toEqual([path, expected]);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(problemSchema.safeParse(await response.json()).error).toBeUndefined();
    if (expected === 405) expect(response.headers.get('allow')).toBe('GET, HEAD');
  }
});

it('no query string makes a list fail: 200, or 400 naming the parameter', async () => {
  const name = fc.oneof(
    fc.constantFrom('port', 'ip', 'type', 'limit', 'cursor', 'node', 'exe', 'loopback', 'family'),
    fc.string({ unit: 'binary', maxLength: 20 }),
  );
  const value = fc.oneof(
    fc.constantFrom('1', '10.0.0.0/8', '::/0', 'true', 'TCP', '%', '%ff', '%00', ...eventTypes),
    fc.string({ unit: 'binary', maxLength: 300 }),
  );
  const query = fc.oneof(
    fc
      .array(fc.tuple(name, value), { maxLength: 6 })
      .map((pairs) => new URLSearchParams(pairs).toString()),
    fc.webQueryParameters(),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...listed), query, async (path, text) => {
      const { status, body } = await get(`${path}?${text}`);
      if (status === 400) {
        expect(problemSchema.parse(body).parameter).toEqual(expect.any(String));
      } else {
        expect(status).toBe(200);
        expect(lists[path].safeParse(body).error).toBeUndefined();
      }
    }),
    { numRuns: 300 },
  );
});

it('a whole list comes or none: a node that stops answering is a 503, or is named as missing', async () => {
  const { clusterPort } = machine.gateway;
  const other = machine.nodes[1];
  other?.publisher.close();
  try {
    const all = await list('/api/connections', clusterPort);
    expect(all.items).toHaveLength(26);
    expect(all.missing).toEqual([{ nodeName: 'beta', reason: expect.any(String) as string }]);
    node.publisher.close();
    const { status, body } = await get('/api/connections');
    expect([status, problemSchema.safeParse(body).success]).toEqual([503, true]);
  } finally {
    node.restart();
    other?.restart();
  }
});

it('a taken port is one clear line', async () => {
  const port = machine.gateway.nodePort;
  const opening = Listener.open(port, undefined as never, undefined as never);
  await expect(opening).rejects.toThrow(`[::]:${port} is taken by another program`);
});

describe('a services file', () => {
  it('is read line by line, and bad lines are counted', () => {
    expect(
      parseServices('# names\nhttp 80/tcp www # web\n\ndns\t53/udp\nbad\nx 99999/tcp\ny 1/\n'),
    ).toEqual({
      services: [
        { name: 'http', port: 80, protocol: 'TCP', aliases: ['www'] },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ],
      badLines: 3,
    });
  });

  it('of any content is read', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 500 }), (text) => {
        const { services } = parseServices(text);
        expect(lists['/api/services'].safeParse({ items: services }).success).toBe(true);
      }),
    );
  });
});
