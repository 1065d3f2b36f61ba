import fc from 'fast-check';
import { arbitraryIp } from './arbitrary-events.ts';
import { canonicalIp, isLoopback, parseNetwork } from './ip.ts';

/** All bits of an address as text, by a reading of our own. */
function bits(ip: string): string {
  if (!ip.includes(':')) {
    return ip
      .split('.')
      .map((byte) => Number(byte).toString(2).padStart(8, '0'))
      .join('');
  }
  const [head = [], tail] = ip.split('::').map((part) => part.split(':').filter(Boolean));
  const middle = tail ? Array<string>(8 - head.length - tail.length).fill('0') : [];
  const groups = [...head, ...middle, ...(tail ?? [])];
  return groups.map((group) => parseInt(group, 16).toString(2).padStart(16, '0')).join('');
}

describe('canonicalIp', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['FE80:0:0:0:0:0:0:1', 'fe80::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::FFFF:102:304', '1.2.3.4'],
    ['::1.2.3.4', '::102:304'],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
  ])('of %s is %s', (text, expected) => expect(canonicalIp(text)).toBe(expected));

  it.each([
    ...['', ' ', 'x', '1', '1.2', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '0x7f.0.0.1'],
    ...['1.2.3.4 ', '10.0.0.0/8', ':', ':::', '1::2::3', 'fe80::1%eth0', '::1.2.3', '::1.2.3.256'],
    ...['1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '12345::', '[::1]', '1.2.3.4:80', '2130706433'],
  ])('refuses %p', (text) => expect(canonicalIp(text)).toBeUndefined());

  it('is stable, and total on any text', () => {
    fc.assert(fc.property(arbitraryIp, (ip) => expect(canonicalIp(ip)).toBe(ip)));
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom(...'0123456789af:./'.split('')) }),
    );
    fc.assert(
      fc.property(text, (any) => {
        const ip = canonicalIp(any);
        if (ip !== undefined) expect(canonicalIp(ip)).toBe(ip);
        const network = parseNetwork(any);
        if (network) expect(parseNetwork(network.text)?.text).toBe(network.text);
      }),
    );
  });
});

describe('parseNetwork', () => {
  it.each([
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['10.1.2.3/32', '10.1.2.3'],
    ['10.1.2.3/31', '10.1.2.2/31'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['FE80::1/10', 'fe80::/10'],
    ['::1/128', '::1'],
    ['::ffff:10.9.9.9/104', '10.0.0.0/8'],
    ['::ffff:10.9.9.9', '10.9.9.9'],
    ['::/0', '::/0'],
  ])('reads %s as %s', (text, expected) => expect(parseNetwork(text)?.text).toBe(expected));

  it.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/-1', '/8', '::/129', '::/0/0'])(
    'refuses %s',
    (text) => expect(parseNetwork(text)).toBeUndefined(),
  );

  it('contains what has the same first bits', () => {
    const length = fc.nat({ max: 128 });
    fc.assert(
      fc.property(arbitraryIp, arbitraryIp, length, (base, ip, some) => {
        const size = Math.min(some, base.includes(':') ? 128 : 32);
        const same = base.includes(':') === ip.includes(':');
        const expected = same && bits(base).slice(0, size) === bits(ip).slice(0, size);
        const network = parseNetwork(`${base}/${size}`);
        expect(network?.contains(ip)).toBe(expected);
        expect(network?.contains(ip)).toBe(expected);
        expect(network?.contains(base)).toBe(true);
      }),
    );
  });

  it('takes no text that is no address', () => {
    expect(parseNetwork('0.0.0.0/0')?.contains('x')).toBe(false);
    expect(parseNetwork('0.0.0.0/0')?.contains('::')).toBe(false);
  });

  it('forgets verdicts rather than growing, and stays right', () => {
    const network = parseNetwork('10.0.0.0/15');
    for (let i = 0; i < 10_000; i++)
      expect(network?.contains(`10.${i % 4}.${i >> 8}.${i & 255}`)).toBe(i % 4 < 2);
  });
});

it('knows loopback addresses', () => {
  expect(['127.0.0.1', '127.9.9.9', '::1'].every(isLoopback)).toBe(true);
  expect(['128.0.0.1', '::', '::127.0.0.1', '12.7.0.1'].some(isLoopback)).toBe(false);
});
