import { pack } from '@netstatd/bus';
import { eventFields, eventTypes, JsonBytes, PackedJson, type EventRow } from '@netstatd/events';
import fc from 'fast-check';
import { MessageError, readBatch } from './message.ts';
import type { PackedRows } from './packed-rows.ts';

// Other tests run on the same processors.
jest.setTimeout(60_000);

const decoder = new TextDecoder();

function rowsOf(rows: readonly unknown[], fields: object = eventFields): PackedRows {
  const place = { v: 1, node: 'a', epoch: 5, seq: 1, before: 0 };
  const batch = readBatch(pack({ ...place, fields, events: rows }));
  if (batch instanceof MessageError) throw batch;
  return batch.rows;
}

/** The JSON of rows, written packed and after decoding them. */
function bothWays(rows: PackedRows, node: string): { packed: string; decoded: string } {
  const packed = new PackedJson(0);
  const decoded = new JsonBytes(0);
  for (let i = 0; i < rows.length; i++) {
    rows.writeJson(i, packed, node);
    decoded.write(rows.row(i), node);
  }
  return {
    packed: decoder.decode(packed.slice(0, packed.end)),
    decoded: decoder.decode(decoded.slice(0, decoded.end)),
  };
}

const text = fc.oneof(
  fc.constantFrom('TCP', 'ESTABLISHED', 'curl', '/usr/bin/curl', 'a"b', 'a\\b', 'ü\x1b\u2028', ''),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({ maxLength: 40 }),
);
const value = fc.oneof(
  { depthSize: 'small' },
  fc.constantFrom(null, undefined, true, false, 0, -0, 127, 128, 255, 256, 65_535, 65_536, -1, 0.5),
  fc.constantFrom(1e9, 1e9 - 1, 2 ** 32, 2 ** 32 - 1, 2 ** 53, 2 ** 53 - 1, 1e21),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }),
  text,
  fc.array(text, { maxLength: 3 }),
  fc.dictionary(
    fc.string({ maxLength: 9 }).filter((key) => key !== '__proto__'),
    text,
  ),
);
/** Few values, so that runs come again, and with one value changed. */
const row = fc
  .tuple(fc.constantFrom(...eventTypes), fc.nat(2e15), fc.array(value, { maxLength: 40 }))
  .map(([type, micros, values]): EventRow => [type, micros, ...values]);
const rows = fc
  .tuple(fc.array(row, { maxLength: 8 }), fc.array(fc.tuple(fc.nat(7), fc.nat(39), value)))
  .map(([all, changes]) => {
    const changed = changes.flatMap(([which, column, other]): EventRow[] => {
      const [type, micros, ...values] = all[which] ?? ['node.up', 0];
      values[column % Math.max(1, values.length)] = other;
      return [[type, micros, ...values]];
    });
    return [...all, ...changed, ...all];
  });

describe('the JSON of packed rows', () => {
  test('is what it is of decoded ones, whatever they hold', () => {
    fc.assert(
      fc.property(rows, fc.string({ maxLength: 5 }), (all, node) => {
        const { packed, decoded } = bothWays(rowsOf(all), node);
        expect(packed).toBe(decoded);
      }),
      { numRuns: 1000 },
    );
  });

  test('tells columns apart that hold the same bytes', () => {
    const values = ['TCP', 4, 'CLOSE', 'inbound', 1, '::1', 2, '::1', 3, 1, 'a', 'b', 1, 2];
    const all: EventRow[] = [
      ['connection.event', 1, ...values],
      ['connection.accepted', 1, ...values],
      ['connection.event', 1, ...values.slice(0, 9), 'TCP', 4, 'CLOSE', 'inbound'],
    ];
    const { packed, decoded } = bothWays(rowsOf([...all, ...all]), 'n');
    expect(packed).toBe(decoded);
    expect(JSON.parse(`[${packed.slice(0, -1)}]`)).toHaveLength(6);
  });

  test('has the columns of others in our order, and leaves out what is none of ours', () => {
    const fields = { 'dns.answer': ['ttl', 'color', 'timestamp'], 'node.up': ['timestamp'] };
    const others = [['dns.answer', 60, 'red', 9], ['moon.rise', 9], ['node.up'], 7, ['node.up', 8]];
    const read = rowsOf(others, fields);
    expect(read.skipped).toBe(3);
    const { packed, decoded } = bothWays(read, 'n');
    expect(packed).toBe(decoded);
    expect(packed).toContain('"ttl":60');
    expect(packed).not.toContain('red');
  });
});
