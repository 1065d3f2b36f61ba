import fc from 'fast-check';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { addressText, NetnsAddressReader } from './netns-addresses.ts';
import { ProcFs } from './procfs.ts';

const procfs = new ProcFs();

function read(trie: string, inet6 = '') {
  const reader = new NetnsAddressReader();
  for (const line of trie.split('\n')) reader.fibTrieLine(line);
  for (const line of inet6.split('\n')) reader.ifInet6Line(line);
  return reader.result;
}

test('A16 local addresses of the trie, and no networks, broadcasts or routes', () => {
  const trie = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 10.88.0.1
        /32 universe UNICAST
Local:
  +-- 10.0.0.0/8 2 0 2
     |-- 10.88.0.0
        /16 link UNICAST
     |-- 10.88.0.1
        /32 host LOCAL
     |-- 10.88.255.255
        /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 169.254.7.7
           /32 link UNICAST
           /32 host LOCAL`;
  expect(read(trie)).toEqual({
    addresses: ['10.88.0.1'],
    linkLocal: ['169.254.7.7'],
    loopback: ['127.0.0.1'],
  });
});

test('addresses of if_inet6 in the one text form', () => {
  const inet6 = `fe800000000000004cc593fffe7ebe12 05 40 20 80    wcri0
00000000000000000000000000000001 01 80 10 80       lo
fd000000000000000000000000000002 04 40 00 82     eth0
fd000000000000010000000000000002 1004 40 00 82     a b
00000000000000000000ffff0a000001 04 40 00 82     eth0`;
  expect(read('', inet6)).toEqual({
    addresses: ['10.0.0.1', 'fd00:0:0:1::2', 'fd00::2'],
    linkLocal: ['fe80::4cc5:93ff:fe7e:be12'],
    loopback: ['::1'],
  });
});

test('any text gives addresses or nothing, and never too many', () => {
  const piece = fc.constantFrom(
    ...['|-- ', '+-- ', '10.0.0.1', '300.1.1.1', '/32 host LOCAL', ' ', '/32', 'LOCAL', '\0', '-'],
    ...['fe80', '0'.repeat(32), 'f'.repeat(32), ' 01 80 10 80 lo', 'G'],
  );
  const line = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 5 }).map((x) => x.join('')),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const { addresses, linkLocal, loopback } = read(lines.join('\n'), lines.join('\n'));
      for (const text of [...addresses, ...linkLocal, ...loopback]) expect(isIP(text)).not.toBe(0);
    }),
    { numRuns: 2000 },
  );
  const hex = (n: number) => `fd${n.toString(16).padStart(30, '0')} 05 40 20 80 x`;
  const flood = Array.from({ length: 2 * NetnsAddressReader.MAX }, (_, n) => hex(n)).join('\n');
  expect(read('', flood).addresses).toHaveLength(NetnsAddressReader.MAX);
});

test('every address has one text, which is the address', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  fc.assert(
    fc.property(bytes, (address) => {
      const text = addressText(address);
      expect(isIP(text)).not.toBe(0);
      expect(text).toBe(text.toLowerCase());
      if (address.length === 16 && isIP(text) === 6) {
        expect(new URL(`http://[${text}]/`).hostname).toBe(`[${text}]`);
      }
    }),
  );
});

test('A16 the addresses of another namespace are those that ip shows in it', async () => {
  const script = `ip link set lo up; ip link add name left type veth peer name right
    ip link set left addrgenmode none; ip link set right addrgenmode none; ip link set left up; ip link set right up
    ip addr add 10.9.8.7/24 dev left; ip addr add 10.9.8.8/24 dev left; ip addr add 192.168.77.1/32 dev right
    ip addr add fd09::7/64 dev left nodad; ip addr add fe80::1234/64 dev left nodad; ip addr add 2001:db8:0:0:1:0:0:1/128 dev right nodad
    ip addr add 127.9.9.9/8 dev lo; echo ready; read wait`;
  const child = spawn('unshare', ['--map-root-user', '--net', 'sh', '-c', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  try {
    await Promise.race([once(child.stdout, 'data'), ended]);
    expect(child.exitCode).toBeNull();
    const inside = ['-U', '--preserve-credentials', '-n', '-t', String(child.pid)];
    const told = JSON.parse(
      execFileSync('nsenter', [...inside, 'ip', '-j', 'addr'], { encoding: 'utf8' }),
    ) as { addr_info: { local: string }[] }[];
    const expected = told.flatMap((link) => link.addr_info.map(({ local }) => local));
    const { addresses, linkLocal, loopback } = procfs.netnsAddresses(child.pid!);
    expect([...addresses, ...linkLocal, ...loopback].sort()).toEqual(expected.sort());
    expect(addresses).toEqual(
      ['10.9.8.7', '10.9.8.8', '192.168.77.1', '2001:db8::1:0:0:1', 'fd09::7'].sort(),
    );
    expect(linkLocal).toEqual(['fe80::1234']);
    expect(loopback).toEqual(['127.0.0.1', '127.9.9.9', '::1']);
    expect(procfs.addressesOf(child.pid!)).toEqual(addresses);
  } finally {
    child.stdin.end();
    await ended;
  }
  expect(procfs.netnsAddresses(child.pid!)).toEqual({
    addresses: [],
    linkLocal: [],
    loopback: [],
  });
});
