import fc from 'fast-check';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readLines } from './lines.ts';
import { isLoopback, parseNetEnd, parseNetLine, type NetRow } from './net-table.ts';
import { ProcFs } from './procfs.ts';

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const TAIL =
  '00000000:00000000 00:00000000 00000000  1000        0 13134334 1 000000008c17a2d9 100 0';
const LINE = `   0: 0100007F:961F 0200000A:0050 01 ${TAIL}`;
const END = { local: '0100007F:961F', remote: '0200000A:0050' };

test('a line of a table', () => {
  expect(parseNetLine(LINE)).toEqual({ ...END, state: 1, uid: 1000, inode: 13134334 });
  expect(parseNetLine(HEAD)).toBeUndefined();
});

test.each([
  ['0100007F:961F', [127, 0, 0, 1], 0x961f],
  ['00000000:0000', [0, 0, 0, 0], 0],
  ['0000000000000000FFFF00000100007F:0016', [127, 0, 0, 1], 22],
  ['00000000000000000000000001000000:FFFF', [...Array<number>(15).fill(0), 1], 65535],
  [
    'B80D0120000000000000000001000000:0001',
    [0x20, 1, 13, 0xb8, ...Array<number>(11).fill(0), 1],
    1,
  ],
])('the end %s', (text, address, port) => {
  expect(parseNetEnd(text)).toEqual({ address: Uint8Array.from(address), port });
});

test('loopback', () => {
  const of = (text: string) => isLoopback(parseNetEnd(text).address);
  expect(of('0100007F:0000')).toBe(true);
  expect(of('00000000000000000000000001000000:0000')).toBe(true);
  expect(of('0100000A:0000')).toBe(false);
  expect(of('00000000000000000000000000000000:0000')).toBe(false);
});

test.each([
  ['ends of two families', `   0: 0100007F:961F ${'0'.repeat(32)}:0050 01 ${TAIL}`],
  ['a cut line', LINE.slice(0, 90)],
  ['no inode', LINE.slice(0, LINE.indexOf('13134334'))],
  ['a huge inode', LINE.replace('13134334', '9'.repeat(40))],
  ['lower case', LINE.toLowerCase()],
])('%s is no socket', (_what, line) => expect(parseNetLine(line)).toBeUndefined());

test('no text breaks the parsers', () => {
  const damaged = fc
    .tuple(fc.nat(LINE.length), fc.nat(5), fc.string({ maxLength: 40 }))
    .map(([at, cut, put]) => LINE.slice(0, at) + put + LINE.slice(at + cut));
  fc.assert(
    fc.property(fc.oneof(damaged, fc.string(), fc.string({ unit: 'binary' })), (line) => {
      const row = parseNetLine(line);
      if (row === undefined) return;
      for (const end of [row.local, row.remote]) {
        const { address, port } = parseNetEnd(end);
        expect([4, 16]).toContain(address.length);
        expect(port).toBeLessThan(65536);
      }
      for (const n of [row.state, row.uid, row.inode]) expect(Number.isSafeInteger(n)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

describe('a file read line by line', () => {
  const directory = mkdtempSync(join(tmpdir(), 'netstatd-lines-'));
  const path = join(directory, 'table');
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  function read(text: string, maxBytes = 1 << 30) {
    writeFileSync(path, text, 'latin1');
    const lines: string[] = [];
    const whole = readLines(
      path,
      maxBytes,
      () => true,
      (line) => lines.push(line),
    );
    return { lines, whole };
  }

  test('gives the lines that are no longer than any socket is', () => {
    const line = fc.string({
      unit: fc.constantFrom('a', '\0', 'ÿ'),
      size: 'max',
      minLength: 1,
      maxLength: 5000,
    });
    fc.assert(
      fc.property(fc.array(line, { maxLength: 60 }), fc.boolean(), (lines, ended) => {
        const { lines: found, whole } = read(lines.join('\n') + (ended ? '\n' : ''));
        expect(whole).toBe(true);
        // Whether a long line is seen as one depends on where a piece of the file ends.
        const short = (some: string[]) => some.filter(({ length }) => length <= 4096);
        expect(short(found)).toEqual(short(lines));
      }),
      { numRuns: 50 },
    );
  });

  test('without end is left at the bound', () => {
    expect(read('x'.repeat(10_000_000))).toEqual({ lines: [], whole: true });
    const { lines, whole } = read('y\n'.repeat(1_000_000), 100_000);
    expect(whole).toBe(false);
    expect(lines.length).toBeLessThan(100_000);
    expect(
      readLines(
        join(directory, 'none'),
        1,
        () => true,
        () => undefined,
      ),
    ).toBe(false);
    expect(
      readLines(
        directory,
        1,
        () => true,
        () => undefined,
      ),
    ).toBe(false);
  });
});

test('the sockets of this process are in the tables of its namespace, and are its own', async () => {
  const server = createServer().listen(0, '::1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect(port, '::1');
  await once(client, 'connect');
  const procfs = new ProcFs();
  const rows: NetRow[] = [];
  const key = procfs.netKeyOf(process.pid)!;
  expect(procfs.readNetTable(process.pid, 'tcp6', key, (row) => rows.push(row))).toBe(true);
  expect(procfs.readNetTable(process.pid, 'tcp6', key + 1, (row) => rows.push(row))).toBe(false);
  const listening = rows.find((row) => row.state === 10 && parseNetEnd(row.local).port === port);
  const connected = rows.find((row) => row.state === 1 && parseNetEnd(row.remote).port === port);
  expect(parseNetEnd(connected!.local).port).toBe(client.localPort);
  const own = new Map([...procfs.socketsOf(process.pid)].map(({ inode, fd }) => [inode, fd]));
  for (const row of [listening, connected]) {
    const { inode, uid } = row!;
    expect(uid).toBe(process.getuid?.());
    expect(procfs.holds(process.pid, own.get(inode)!, inode)).toBe(true);
    expect(procfs.holds(process.pid, own.get(inode)!, inode + 1)).toBe(false);
  }
  const [from, to] = procfs.ephemeralPorts()!;
  expect(client.localPort! >= from && client.localPort! <= to).toBe(true);
  client.destroy();
  server.close();
});
