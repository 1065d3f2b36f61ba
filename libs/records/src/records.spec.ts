import fc from 'fast-check';
import {
  BatchReader,
  BatchWriter,
  encodeCgroup,
  encodeHost,
  encodeMark,
  encodeProcess,
  encodeSocket,
  markReplayed,
  MarkKind,
  ProcessKind,
  readRecordedHead,
  RecordFlag,
  RecordType,
  silenceAfter,
  SocketKind,
} from './index.ts';
import { BatchLayout } from './generated/layout.ts';
import { ipv6Text } from './text.ts';

const head = fc.record({
  kind: fc.integer({ min: 1, max: 11 }),
  timeNs: fc.nat({ max: 2 ** 50 }),
  flags: fc.integer({ min: 0, max: 3 }),
  cpu: fc.nat({ max: 65535 }),
});
const u64 = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const u32 = fc.nat({ max: 0xffffffff });
const u16 = fc.nat({ max: 0xffff });
const u8 = fc.nat({ max: 0xff });
const micros = fc.nat({ max: 2 ** 40 });
const comm = fc.string({ unit: fc.constantFrom('a', ' ', '\n', '"', '\x1b', 'ü'), maxLength: 7 });
const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });

const socket = fc.record({
  cookie: u64,
  cgroupId: u64,
  ownerStartNs: u64,
  bytesSent: u64,
  bytesReceived: u64,
  durationMicros: micros,
  handshakeMicros: u32,
  rttMicros: u32,
  retransmits: u32,
  pid: u32,
  uid: u32,
  netns: u32,
  error: u32,
  localPort: u16,
  remotePort: u16,
  localAddress: bytes16,
  remoteAddress: bytes16,
  comm,
  family: fc.constantFrom(2, 10),
  protocol: u8,
  state: u8,
  direction: u8,
  closeSide: u8,
});
const name = fc.string({
  unit: fc.constantFrom('a', '.', '\n', 'é', ' '),
  minLength: 1,
  maxLength: 9,
});
const path = fc.array(name, { minLength: 1, maxLength: 9 }).map((names) => `/${names.join('/')}`);
const process = fc.record({
  startNs: u64,
  cgroupId: u64,
  pid: u32,
  ppid: u32,
  uid: u32,
  netns: u32,
  comm,
  exe: fc.option(path, { nil: undefined }),
});
const cgroup = fc.record({ cgroupId: u64, path });
const mark = fc.record({ sockets: u64, processes: u64 });
const record = fc.oneof(
  fc.record({ type: fc.constant(RecordType.SOCKET), head, fields: socket }),
  fc.record({ type: fc.constant(RecordType.PROCESS), head, fields: process }),
  fc.record({ type: fc.constant(RecordType.CGROUP), head, fields: cgroup }),
  fc.record({ type: fc.constant(RecordType.MARK), head, fields: mark }),
);
type Made = typeof record extends fc.Arbitrary<infer T> ? T : never;

function encode(made: Made): Uint8Array {
  if (made.type === RecordType.SOCKET) return encodeSocket(made.head, made.fields);
  if (made.type === RecordType.PROCESS) {
    const { exe, ...rest } = made.fields;
    return encodeProcess(made.head, exe === undefined ? rest : { ...rest, exe });
  }
  if (made.type === RecordType.CGROUP) return encodeCgroup(made.head, made.fields);
  return encodeMark(made.head, made.fields);
}

const viewOf = (reader: BatchReader, type: number) =>
  type === RecordType.SOCKET
    ? reader.socket
    : type === RecordType.PROCESS
      ? reader.process
      : type === RecordType.CGROUP
        ? reader.cgroup
        : reader.mark;

const read = (bytes: Uint8Array): BatchReader => {
  const reader = new BatchReader();
  reader.load(bytes);
  while (reader.next());
  return reader;
};

const anyText: unknown = expect.any(String);

const someBatch = () =>
  new BatchWriter(7n).batch([
    encodeSocket({ kind: SocketKind.CONNECTING }, { cookie: 1 }),
    encodeMark({ kind: MarkKind.SNAPSHOT_END }, { sockets: 1 }),
  ]);

describe('a batch', () => {
  it('reads as it was written, whatever its records', () => {
    const reader = new BatchReader();
    fc.assert(
      fc.property(fc.array(record, { maxLength: 20 }), u32, (made, lostBefore) => {
        const writer = new BatchWriter(2n ** 53n);
        writer.batch([encodeMark({ kind: 1 })]);
        const wallOffsetNs = 1_700_000_000_123_456_789n;
        const batch = writer.batch(made.map(encode), { lostBefore, wallOffsetNs });
        expect(reader.load(batch)).toBeUndefined();
        expect(reader).toMatchObject({
          epoch: 2 ** 53,
          seq: 2,
          records: made.length,
          recordsBefore: 1,
          lostBefore,
        });
        for (const { type, head, fields } of made) {
          expect(reader.next()).toBe(true);
          expect(reader).toMatchObject({ type, ...head });
          const micros = (BigInt(head.timeNs) + wallOffsetNs) / 1000n;
          expect(reader.timeMicros).toBe(Number(micros));
          const view = viewOf(reader, type);
          for (const [key, value] of Object.entries(fields)) {
            if (!key.endsWith('Address')) expect(view).toHaveProperty(key, value);
          }
        }
        expect(reader.next()).toBe(false);
        expect(reader.error).toBeUndefined();
      }),
    );
  });

  it('cut anywhere is an error, not an exception', () => {
    const whole = someBatch();
    for (let length = 0; length < whole.length; length++) {
      const reader = new BatchReader();
      expect(reader.load(whole.slice(0, length))?.reason).toMatch(/short|length/);
      expect(reader.next()).toBe(false);
    }
  });

  it('with any bytes changed ends, with or without an error', () => {
    const changes = fc.array(fc.tuple(fc.nat(), u8), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(record, { maxLength: 5 }), changes, (made, places) => {
        const bytes = new BatchWriter(1n).batch(made.map(encode));
        for (const [at, value] of places) bytes[at % bytes.length] = value;
        const reader = new BatchReader();
        reader.load(bytes);
        let records = 0;
        while (reader.next()) {
          records++;
          if (reader.type === RecordType.SOCKET) expect(reader.socket.comm).toEqual(anyText);
          if (reader.type === RecordType.PROCESS) expect(reader.process.comm).toEqual(anyText);
          if (reader.type === RecordType.PROCESS) expect(() => reader.process.exe).not.toThrow();
          if (reader.type === RecordType.CGROUP) expect(reader.cgroup.path).toEqual(anyText);
        }
        expect(records).toBeLessThanOrEqual(bytes.length / 16);
      }),
    );
  });

  it.each([
    ['magic', 0, 0],
    ['version', 4, 9],
    ['length', 6, 8],
    ['length', 8, 255],
    ['record', BatchLayout.BYTES, 7],
    ['record', BatchLayout.BYTES, 255],
    ['record', BatchLayout.BYTES, 16],
    ['count', 12, 77],
  ])('says %s when byte %i is %i', (reason, at, value) => {
    const bytes = someBatch();
    bytes[at] = value;
    const reader = read(bytes);
    expect(reader.error?.reason).toBe(reason);
    expect(reader.error?.message).toMatch(/^(batch|record) .*\d/);
    expect(reader.counters.errors).toMatchObject({ [reason]: 1 });
  });

  it('steps over records of unknown types and counts them', () => {
    const strange = encodeMark({ kind: 1 });
    strange[2] = 200;
    const known = encodeSocket({ kind: SocketKind.CLOSED }, { cookie: 5 });
    const reader = read(new BatchWriter(1n).batch([strange, known, strange]));
    expect(reader.error).toBeUndefined();
    expect(reader.counters).toMatchObject({ records: 1, unknown: 2 });
  });

  it('after an error the next one is read', () => {
    const reader = new BatchReader();
    reader.load(new Uint8Array(3));
    expect(reader.error?.reason).toBe('short');
    expect(reader.load(someBatch())).toBeUndefined();
    expect(reader.next()).toBe(true);
    expect(reader.socket.cookie).toBe(1);
  });

  it('has nothing in its header that was there before', () => {
    const facts = { records: 0, lostBefore: 0, wallOffsetNs: 0n };
    const clean = new BatchWriter(1n).seal(
      new Uint8Array(BatchLayout.BYTES),
      BatchLayout.BYTES,
      0,
      facts,
    );
    const dirty = new Uint8Array(BatchLayout.BYTES).fill(255);
    expect(new BatchWriter(1n).seal(dirty, BatchLayout.BYTES, 0, facts)).toEqual(clean);
  });

  it('needs room for its header', () => {
    const facts = { records: 0, lostBefore: 0, wallOffsetNs: 0n };
    expect(() => new BatchWriter(1n).seal(new Uint8Array(64), 8, 0, facts)).toThrow(RangeError);
  });
});

describe('recorded batches', () => {
  const recorded = () => {
    const facts = { readNs: 77n, wallOffsetNs: 5n };
    return new BatchWriter(9n).batch([encodeHost({ timeNs: 3 }, '{"kernel":"6.1"}')], facts);
  };

  it('say how long they are, when they were read, and that they are played', () => {
    const batch = recorded();
    expect(readRecordedHead(batch)).toEqual({
      ...{ bytes: batch.byteLength, records: 1, readNs: 77, epoch: 9n, replayed: false },
    });
    const before = read(batch);
    expect([before.replayed, before.epoch, before.readNs]).toEqual([false, 9, 77]);
    markReplayed(batch, 10n);
    const reader = new BatchReader();
    reader.load(batch);
    expect([reader.replayed, reader.epoch, reader.next()]).toEqual([true, 10, true]);
    expect([reader.type, reader.host.facts]).toEqual([RecordType.HOST, '{"kernel":"6.1"}']);
  });

  it('are followed by silence', () => {
    const batch = recorded();
    markReplayed(batch, 10n);
    const reader = read(silenceAfter(Buffer.from(batch), 1000n));
    expect(reader.error).toBeUndefined();
    expect([reader.epoch, reader.seq, reader.records, reader.recordsBefore]).toEqual([10, 2, 0, 1]);
    expect([reader.readNs, reader.replayed]).toEqual([1077, true]);
  });

  it('of the first layout have no time of reading', () => {
    const batch = recorded();
    const old = new Uint8Array([
      ...batch.subarray(0, BatchLayout.readNs),
      ...batch.subarray(BatchLayout.BYTES),
    ]);
    old[BatchLayout.headerSize] = BatchLayout.readNs;
    const reader = read(old);
    expect([reader.error, reader.counters.records]).toEqual([undefined, 1]);
    expect([reader.readNs, reader.replayed]).toEqual([0, false]);
    expect(readRecordedHead(old)).toBeUndefined();
  });

  it('are known by their head, and nothing else is', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(readRecordedHead(bytes)).toBeUndefined();
      }),
    );
    const long = recorded();
    long[BatchLayout.payloadBytes + 3] = 255;
    expect(readRecordedHead(long)).toBeUndefined();
    expect(() => encodeHost({}, 'x'.repeat(1 << 15))).toThrow(RangeError);
  });
});

describe('texts', () => {
  const address = (family: number, bytes: number[]) => {
    const localAddress = Uint8Array.from(bytes);
    const batch = new BatchWriter(1n).batch([encodeSocket({ kind: 1 }, { family, localAddress })]);
    const reader = new BatchReader();
    reader.load(batch);
    reader.next();
    return reader.socket.localAddress;
  };

  it.each([
    [2, [127, 0, 0, 1], '127.0.0.1'],
    [2, [255, 255, 255, 255], '255.255.255.255'],
    [10, new Array<number>(16).fill(0), '::'],
    [10, [...new Array<number>(15).fill(0), 1], '::1'],
    [10, [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1], '2001:db8::1:0:0:1'],
    [10, [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1], '2001:db8:0:1:1:1:1:1'],
    [10, [0xfe, 0x80, ...new Array<number>(14).fill(0)], 'fe80::'],
    [10, [...new Array<number>(10).fill(0), 255, 255, 10, 1, 2, 3], '10.1.2.3'],
  ])('of family %i %j is %s', (family, bytes, text) => {
    expect(address(family, bytes)).toBe(text);
    expect(address(family, bytes)).toBe(text);
  });

  it('of IPv6 addresses mean the address they came from', () => {
    const sparse = fc.array(fc.oneof(fc.constant(0), u8), { minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(sparse, (bytes) => {
        const text = ipv6Text(Uint8Array.from(bytes));
        fc.pre(text.includes(':'));
        const host = new URL(`http://[${text}]/`).hostname;
        expect(host).toBe(`[${text}]`);
      }),
    );
  });

  it('of a cut path are unknown', () => {
    const exe = `/${'long/'.repeat(80)}x`;
    const made = encodeProcess({ kind: ProcessKind.EXECUTED }, { pid: 1, exe });
    const reader = new BatchReader();
    reader.load(new BatchWriter(1n).batch([made]));
    reader.next();
    expect(reader.flags & RecordFlag.PATH_CUT).not.toBe(0);
    expect(reader.process.exe).toBeUndefined();
  });
});
