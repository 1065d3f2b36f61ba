import { allNodes, nodeToken, subjects } from './subjects.ts';
import { parseBusUrl } from './url.ts';

describe('subjects', () => {
  test('dots of a node name become underscores', () => {
    expect(nodeToken('ip-10-0-0-1.eu-west-1.internal')).toBe('ip-10-0-0-1_eu-west-1_internal');
    expect(subjects('a.b').raw).toBe('netstatd.a_b.raw');
    expect(allNodes.status).toBe('netstatd.*.status');
  });

  test.each(['', '*', '>', 'a b', 'a\nb', 'ä', 'a/b', 'x'.repeat(254)])('refuses %j', (name) => {
    expect(() => nodeToken(name)).toThrow(RangeError);
  });
});

describe('parseBusUrl', () => {
  test.each([
    ['nats://127.0.0.1:4222', { servers: ['127.0.0.1:4222'], tls: false }],
    ['nats://host', { servers: ['host:4222'], tls: false }],
    ['nats://s3cret@[::1]:1', { servers: ['[::1]:1'], token: 's3cret', tls: false }],
    ['tls://u:p%40@a:1, tls://b:2', { servers: ['a:1', 'b:2'], user: 'u', pass: 'p@', tls: true }],
  ])('%s', (url, address) => {
    expect(parseBusUrl(url)).toEqual(address);
  });

  test.each(['', 'localhost:4222', 'http://x', 'nats://', 'nats://a:99999', 'nats://a,b'])(
    'refuses %j',
    (url) => {
      expect(() => parseBusUrl(url)).toThrow(RangeError);
    },
  );

  test('does not repeat a password', () => {
    expect(() => parseBusUrl('http://user:pa55@host')).not.toThrow(/pa55/);
  });
});
