import fc from 'fast-check';
import { arbitraryEvent, arbitraryIp } from './arbitrary-events.ts';
import { eventTypes } from './fields.ts';
import { filterErrorText, parseFilter, queryPairs, type Filter } from './filter.ts';
import { filterParameters } from './filter-parameters.ts';
import { canonicalIp, parseNetwork } from './ip.ts';
import { toRow } from './rows.ts';
import type { NetstatdEvent } from './types.ts';

type Query = Record<string, readonly string[]>;

function filterOf(query: Query): Filter {
  const result = parseFilter(queryPairs(query));
  if ('error' in result) throw new Error(filterErrorText(result.error));
  return result.filter;
}

/** What the filter should say, read off the event one parameter after the other. */
function reference(event: NetstatdEvent, query: Query): boolean {
  const e = event as unknown as Record<string, string | number | undefined>;
  const { type } = event;
  const any = (name: string, holds: (value: string) => boolean) => query[name]?.some(holds) ?? true;
  const always = type === 'snapshot.complete' || type === 'stream.lagged';
  if (!always && !any('type', (value) => value === type)) return false;
  if (type !== 'stream.lagged' && !any('node', (value) => value === event.nodeName)) return false;
  if (always || type === 'host.info' || type.startsWith('node.')) return true;
  const ips = [e.localIP, e.remoteIP, e.actualRemoteIP, e.ip, 'podIPs' in event && event.podIPs];
  const flat = ips.flat().filter((ip) => typeof ip === 'string');
  const loopback = [e.localIP, e.remoteIP, type.startsWith('port.') && e.ip].some((ip) =>
    /^(127\..*|::1)$/.test(String(ip)),
  );
  const family = e.family ?? (typeof e.ip === 'string' ? (e.ip.includes(':') ? 6 : 4) : undefined);
  return (
    any('namespace', (value) => e.namespace === value) &&
    any('pod', (value) => e.podName === value) &&
    any('container', (value) =>
      [e.containerUid, e.containerName].some(
        (field) =>
          field === value ||
          (/^[0-9a-f]{12,}$/.test(value) && field !== undefined && String(field).startsWith(value)),
      ),
    ) &&
    any('protocol', (value) => e.protocol === value.toUpperCase()) &&
    any('state', (value) => e.state === value.toUpperCase()) &&
    any('port', (value) => [e.localPort, e.remotePort, e.port].includes(Number(value))) &&
    any('ip', (value) => flat.some((ip) => parseNetwork(value)?.contains(ip))) &&
    any('family', (value) => String(family) === value) &&
    any('exe', (value) => e.exe === value || String(e.exe).split('/').pop() === value) &&
    any('direction', (value) => e.direction === value) &&
    (query.loopback?.[0] !== 'false' || !loopback)
  );
}

const values: Record<string, fc.Arbitrary<string>> = {
  namespace: fc.constantFrom('web', 'curl'),
  pod: fc.constantFrom('web', 'web-1'),
  container: fc.constantFrom('web', '0123456789ab', '0123456789abcdef', 'aaaaaaaaaaaa', '0123'),
  node: fc.constantFrom('curl', 'web', 'web-1'),
  protocol: fc.constantFrom('TCP', 'udp'),
  state: fc.constantFrom('established', 'CLOSE', 'SYN_SENT'),
  port: fc.constantFrom('1', '443', '65535'),
  ip: fc.oneof(arbitraryIp, fc.constantFrom('10.0.0.0/8', '::/0', '0.0.0.0/1', '::ffff:10.0.0.1')),
  family: fc.constantFrom('4', '6'),
  exe: fc.constantFrom('/usr/bin/curl', 'curl', 'web'),
  direction: fc.constantFrom('outbound', 'INBOUND').map((value) => value.toLowerCase()),
  type: fc.constantFrom(...eventTypes),
};
const arbitraryQuery = fc.record(
  {
    ...Object.fromEntries(
      Object.entries(values).map(([name, value]) => [
        name,
        fc.array(value, { minLength: 1, maxLength: 3 }),
      ]),
    ),
    loopback: fc.constantFrom(['true'], ['false', 'false']),
  },
  { requiredKeys: [], noNullPrototype: true },
) as fc.Arbitrary<Query>;
/** Queries of one or two parameters, so that events match often enough. */
const smallQuery = fc
  .tuple(arbitraryQuery, fc.nat(), fc.integer({ min: 0, max: 2 }))
  .map(([query, start, size]) => {
    const entries = Object.entries(query);
    const from = entries.length > 0 ? start % entries.length : 0;
    return Object.fromEntries<readonly string[]>(entries.slice(from, from + size));
  });

describe('a filter', () => {
  it('matches what a naive reading of the event matches', () => {
    const seen = { yes: 0, no: 0 };
    fc.assert(
      fc.property(arbitraryEvent(), fc.oneof(smallQuery, arbitraryQuery), (event, query) => {
        const expected = reference(event, query);
        seen[expected ? 'yes' : 'no']++;
        const filter = filterOf(query);
        expect(filter.matches(toRow(event), event.nodeName)).toBe(expected);
        if (expected) expect(filter.wantsType(event.type)).toBe(true);
        if (!filter.wantsNode(event.nodeName))
          expect(expected).toBe(event.type === 'stream.lagged');
      }),
      { numRuns: 2000 },
    );
    expect(Math.min(seen.yes, seen.no)).toBeGreaterThan(100);
  });

  it('says the same after a trip through its canonical query', () => {
    fc.assert(
      fc.property(arbitraryEvent(), smallQuery, (event, query) => {
        const filter = filterOf(query);
        const again = filterOf(filter.toQuery());
        expect(again.key).toBe(filter.key);
        const [row, node] = [toRow(event), event.nodeName] as const;
        expect(again.matches(row, node)).toBe(filter.matches(row, node));
      }),
    );
  });

  it('has one key however it is written', () => {
    const key = (text: string) => {
      const result = parseFilter(new URLSearchParams(text));
      return 'filter' in result ? result.filter.key : result.error;
    };
    expect(key('port=443&ip=::ffff:10.0.0.9/104&protocol=tcp&port=80&snapshot=false')).toBe(
      'protocol=TCP&port=443&port=80&ip=10.0.0.0%2F8',
    );
    expect(key('protocol=Tcp&port=80&port=443&port=80&ip=10.1.1.1/8&loopback=true')).toBe(
      key('port=443&ip=::ffff:10.0.0.9/104&protocol=tcp&port=80'),
    );
    expect(key('exe=a%26port%3D80')).not.toBe(key('exe=a&port=80'));
    expect(key('')).toBe('');
  });

  it('wants the opening state unless it is told otherwise', () => {
    expect(filterOf({}).snapshot).toBe(true);
    expect(filterOf({ snapshot: ['false'] }).snapshot).toBe(false);
    expect(filterOf({ snapshot: ['false'] }).toQuery()).toEqual({});
  });

  it('knows which types and nodes can match', () => {
    const filter = filterOf({ port: ['80'], type: ['connection.event', 'host.info'], node: ['a'] });
    expect(eventTypes.filter((type) => filter.wantsType(type))).toEqual([
      'host.info',
      'connection.event',
      'snapshot.complete',
      'stream.lagged',
    ]);
    expect([filter.wantsNode('a'), filter.wantsNode('b')]).toEqual([true, false]);
  });
});

describe('a wrong parameter', () => {
  it.each([
    ['nonsense=1', 'nonsense', '1', /^parameters namespace, pod, .*snapshot$/],
    ['__proto__=1', '__proto__', '1', /^parameters/],
    ['port=0', 'port', '0', /1 to 65535/],
    ['port=65536', 'port', '65536', /1 to 65535/],
    ['port=080', 'port', '080', /1 to 65535/],
    ['port=1e3', 'port', '1e3', /1 to 65535/],
    ['port=', 'port', '', /1 to 65535/],
    ['ip=10.0.0.300', 'ip', '10.0.0.300', /CIDR/],
    ['ip=fe80::1%25eth0', 'ip', 'fe80::1%eth0', /CIDR/],
    ['family=5', 'family', '5', /^4 or 6$/],
    ['protocol=ICMP', 'protocol', 'ICMP', /^TCP or UDP$/],
    ['state=OPEN', 'state', 'OPEN', /^one of ESTABLISHED, SYN_SENT/],
    ['direction=in', 'direction', 'in', /outbound or inbound/],
    ['type=connection', 'type', 'connection', /^one of host\.info/],
    ['loopback=no', 'loopback', 'no', /^true or false$/],
    ['loopback=true&loopback=false', 'loopback', 'false', /^one value$/],
    ['namespace=A_b', 'namespace', 'A_b', /namespace/],
    ['pod=', 'pod', '', /pod/],
    ['container=a b', 'container', 'a b', /container/],
    ['exe=', 'exe', '', /path/],
    ['node=a%0Ab', 'node', 'a\\x0ab', /node/],
    [`exe=${'x'.repeat(257)}`, 'exe', `${'x'.repeat(64)}…`, /^at most 256 characters$/],
    ['port=1&'.repeat(65), 'port', '1', /^at most 64 values$/],
    ['%1b[31m=1', '\\x1b[31m', '1', /^parameters/],
  ])('%s is named with its value and what is allowed', (text, parameter, value, allowed) => {
    const result = parseFilter(new URLSearchParams(text));
    expect(result).toEqual({
      error: { parameter, value, allowed: expect.stringMatching(allowed) as string },
    });
  });

  it('never throws, and makes a short printable line', () => {
    const name = fc.oneof(fc.constantFrom(...filterParameters.map((p) => p.name)), fc.string());
    const value = fc.oneof(fc.string({ unit: 'binary', maxLength: 400 }), ...Object.values(values));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), (pairs) => {
        const result = parseFilter(pairs);
        if ('filter' in result) return;
        const text = filterErrorText(result.error);
        expect(text.length).toBeLessThan(600);
        expect(text).not.toMatch(/\p{C}/u);
      }),
    );
  });
});

describe('the table of parameters', () => {
  it('has a schema that takes what is taken', () => {
    for (const { name, schema, parse } of filterParameters) {
      expect(schema.type).toMatch(/^(string|integer)$/);
      for (const value of (schema.enum ?? []) as (string | number)[])
        expect([name, parse(String(value))]).toEqual([name, String(value)]);
    }
  });

  it('is sorted out of the way of prototypes', () => {
    expect(parseFilter([['constructor', 'x']])).toHaveProperty('error');
    expect(canonicalIp('toString')).toBeUndefined();
  });
});
