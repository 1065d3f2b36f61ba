import fc from 'fast-check';
import { arbitraryEvent } from './arbitrary-events.ts';
import { eventTypes } from './fields.ts';
import { JsonBytes } from './json-bytes.ts';
import { rowToJson } from './json.ts';
import { toRow, type EventRow } from './rows.ts';

const decoder = new TextDecoder();

function written(rows: readonly EventRow[], nodeName: string, capacity = 0): string[] {
  const bytes = new JsonBytes(capacity);
  return rows.map((row) => {
    const begin = bytes.end;
    bytes.write(row, nodeName);
    expect(decoder.decode(bytes.slice(bytes.end - 1, bytes.end))).toBe(',');
    return decoder.decode(bytes.slice(begin, bytes.end - 1));
  });
}

describe('JsonBytes', () => {
  it('is what rowToJson is, of events that share values and of events that do not', () => {
    fc.assert(
      fc.property(fc.array(arbitraryEvent(), { maxLength: 20 }), (events) => {
        const rows = [...events, ...events].map((event) => toRow(event));
        expect(written(rows, 'n')).toEqual(rows.map((row) => rowToJson(row, 'n')));
      }),
    );
  });

  it('is what rowToJson is, whatever the rows hold', () => {
    const value = fc.oneof(
      fc.anything({ withBigInt: true, withNullPrototype: true }),
      fc.double(),
      fc.maxSafeInteger(),
      fc.constantFrom(0, -0, 1e9, 1e9 - 1, 2 ** 53, 2 ** 53 - 1, 1e21, 4294967296, 'ü\x1b\u2028'),
    );
    const row = fc
      .tuple(fc.constantFrom(...eventTypes), fc.array(value, { maxLength: 40 }))
      .map(([type, values]): EventRow => [type, ...values]);
    fc.assert(
      fc.property(fc.array(row), fc.string(), (rows, node) => {
        const all = [...rows, ...rows];
        expect(written(all, node)).toEqual(all.map((each) => rowToJson(each, node)));
      }),
    );
  });

  it('keeps no value of an object that has changed since', () => {
    const remote = { kind: 'external' };
    const row: EventRow = ['connection.event', 0];
    row[22] = remote;
    expect(written([row], 'n')[0]).toContain('"kind":"external"');
    remote.kind = 'loopback';
    expect(written([row], 'n')[0]).toContain('"kind":"loopback"');
  });

  it('refuses a row of no known type', () => {
    expect(() => written([['no\x1bpe'] as unknown as EventRow], 'n')).toThrow('no\\x1bpe');
  });
});
