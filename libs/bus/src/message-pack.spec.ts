import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { pack } from './pack.ts';
import { PackedArray } from './packed-array.ts';
import { UnpackError } from './skip.ts';
import { unpack, unpackAround } from './unpack.ts';

// Other tests run on the same processors.
jest.setTimeout(60_000);

/** What goes over the bus: finite numbers, text, null, booleans, and arrays and maps of them. */
const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.integer({ min: -70_000, max: 70_000 }),
    fc.double({ noNaN: true }).map((number) => number + 0),
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.string({ unit: 'grapheme', maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(
      fc.string({ maxLength: 40 }).filter((key) => key !== '__proto__'),
      tie('value'),
      { noNullPrototype: true, maxKeys: 20 },
    ),
  ),
})).value;

const message = {
  v: 1,
  node: 'wörker-3',
  seq: 2 ** 40,
  fields: { 'connection.event': ['timestamp', 'protocol'] },
  events: Array.from({ length: 40 }, (_, i) => [
    'connection.event',
    1763636400000000 + i,
    'TCP',
    -1 - i,
    `10.0.0.${i}`,
    0.5,
    null,
    true,
    'x'.repeat(i * 9),
  ]),
};

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('pack and unpack', () => {
  test('give back what went in', () => {
    fc.assert(
      fc.property(plain, (value) => {
        expect(unpack(pack(value))).toEqual(value);
      }),
      { numRuns: 2000 },
    );
  });

  test('agree with another decoder, and use no extension types', () => {
    const other = new Packr({ useRecords: false, int64AsType: 'number' });
    fc.assert(
      fc.property(plain, (value) => {
        const bytes = pack(value);
        expect(other.unpack(bytes)).toEqual(unpack(bytes));
      }),
    );
    expect(unpack(pack(message))).toEqual(message);
  });

  test.each([
    ['undefined in a row is nil', ['a', undefined, 1], '93 a1 61 c0 01'],
    ['microseconds are a float64', 1763636400000000, 'cb 43 19 10 12 64 8a 30 00'],
    ['32 bits are an integer', 4294967295, 'ce ff ff ff ff'],
    ['beyond 32 bits is a float64', 4294967296, 'cb 41 f0 00 00 00 00 00 00'],
    ['a small map', { a: 1 }, '81 a1 61 01'],
  ])('%s', (_name, value, bytes) => {
    expect(Buffer.from(pack(value)).toString('hex')).toBe(hex(bytes).toString('hex'));
  });

  test.each([
    ['uint64', 'cf 00 06 44 08 23 83 e0 00', 1763651606536192],
    ['int64', 'd3 ff ff ff ff ff ff ff fe', -2],
    ['float32', 'ca 3f 00 00 00', 0.5],
    ['str32', 'db 00 00 00 01 61', 'a'],
    ['array32', 'dd 00 00 00 01 c2', [false]],
    ['map32', 'df 00 00 00 01 a1 61 c3', { a: true }],
    ['bin8', 'c4 02 01 02', Uint8Array.of(1, 2)],
    ['text that is no UTF-8', 'a2 ff 61', '\ufffda'],
  ])('reads what other encoders write: %s', (_name, bytes, value) => {
    const read = unpack(hex(bytes));
    expect(read instanceof Uint8Array ? Uint8Array.from(read) : read).toEqual(value);
  });

  test('strings of equal hash or equal ends stay apart', () => {
    const texts = Array.from({ length: 30_000 }, (_, i) => `${i % 7}${'-'.repeat(i % 60)}${i}`);
    expect(unpack(pack(texts))).toEqual(texts);
    expect(unpack(pack(texts))).toEqual(texts);
  });

  test.each([
    ['nothing', ''],
    ['an announced gigabyte of text', 'db 40 00 00 00 61'],
    ['an announced gigabyte of binary', 'c6 40 00 00 00 61'],
    ['four billion elements', 'dd ff ff ff ff 01'],
    ['four billion keys', 'df ff ff ff ff a1 61 01'],
    ['a cut number', 'cb 00 00'],
    ['bytes after the value', '01 02'],
    ['an extension type', 'd4 00 00'],
    ['a large extension', 'c9 ff ff ff ff 78'],
    ['a timestamp extension', 'd6 ff 00 00 00 00'],
    ['the byte that means nothing', 'c1'],
    ['a number as key', '81 01 01'],
    ['the prototype as key', '81 a9 5f 5f 70 72 6f 74 6f 5f 5f 80'],
  ])('refuses %s', (_name, bytes) => {
    expect(() => unpack(hex(bytes))).toThrow(UnpackError);
  });

  test('refuses what is nested too deep or too large', () => {
    expect(() => unpack(Buffer.alloc(1 << 20, 0x91))).toThrow(/nested deeper than 16/);
    expect(() => unpack(Buffer.alloc(100), { maxBytes: 99 })).toThrow(/100 bytes are more than 99/);
  });

  test('any bytes give a value or an UnpackError; an array left packed is refused or given alike', () => {
    const outcome = (read: () => unknown): unknown => {
      try {
        return [read()];
      } catch (error) {
        expect(error).toBeInstanceOf(UnpackError);
        return 'refused';
      }
    };
    const readAround = (bytes: Uint8Array): unknown => {
      const value = unpackAround(bytes, 'events');
      const { events } = (value ?? {}) as { events?: unknown };
      if (!(events instanceof PackedArray)) return value;
      const at = [...events.begins.subarray(0, events.length)];
      return { ...(value as object), events: at.map((begin) => events.decode(begin)) };
    };
    const attempt = (bytes: Uint8Array) => {
      const [around, whole] = [outcome(() => readAround(bytes)), outcome(() => unpack(bytes))];
      if (!isDeepStrictEqual(around, whole)) expect(around).toEqual(whole);
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), attempt), { numRuns: 10_000 });
    const valid = pack(message);
    const mutation = fc.tuple(fc.nat(valid.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(mutation, { maxLength: 8 }), fc.nat(valid.length), (edits, length) => {
        const bytes = Uint8Array.from(valid);
        for (const [at, byte] of edits) bytes[at] = byte;
        attempt(bytes.subarray(0, length % 3 === 0 ? length : undefined));
      }),
      { numRuns: 15_000 },
    );
  });
});
