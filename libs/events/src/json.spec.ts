import fc from 'fast-check';
import { arbitraryEvent } from './arbitrary-events.ts';
import { eventTypes } from './fields.ts';
import { jsonText, quote, rowToJson } from './json.ts';
import { fromRow, toRow, type EventRow } from './rows.ts';
import { parseEvent } from './schemas.ts';

const dangerous = /[^ -~\u00a0-\ud7ff\ue000-\uffff]|[\u2028\u2029\u202e\u200b\ufeff]/;

describe('rowToJson', () => {
  it('is the event, valid by its schema, in one visible line', () => {
    fc.assert(
      fc.property(arbitraryEvent(), (event) => {
        const text = rowToJson(toRow(event), event.nodeName);
        const parsed: unknown = JSON.parse(text);
        expect(parsed).toEqual(event);
        expect(parseEvent(parsed)).toEqual({ event });
        expect(text.replace(/[\ud800-\udbff][\udc00-\udfff]/g, '')).not.toMatch(dangerous);
        expect(Object.keys(parsed as object).slice(0, 3)).toEqual([
          'type',
          'timestamp',
          'nodeName',
        ]);
      }),
    );
  });

  it('is valid JSON whatever the row holds', () => {
    const value = fc.anything({ withBigInt: true, withNullPrototype: true });
    fc.assert(
      fc.property(fc.constantFrom(...eventTypes), fc.array(value), (type, values) => {
        const row: EventRow = [type, ...values];
        const parsed = JSON.parse(rowToJson(row, 'n')) as Record<string, unknown>;
        expect(parsed.type).toBe(type);
      }),
    );
  });

  it('leaves out null and undefined, and keeps zero, false and the empty text', () => {
    const row: EventRow = ['stream.lagged', 0, 0, ''];
    expect(rowToJson(row, '')).toBe(
      '{"type":"stream.lagged","timestamp":"1970-01-01T00:00:00.000000Z","nodeName":"","dropped":0,"place":""}',
    );
    expect(fromRow(['stream.lagged', 0, null, undefined], 'n')).not.toHaveProperty('dropped');
  });
});

it('rowToJson refuses a row of no known type', () => {
  expect(() => rowToJson(['no\x1bpe'] as unknown as EventRow, 'n')).toThrow('no\\x1bpe');
});

describe('jsonText', () => {
  it('agrees with JSON.stringify on plain data', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(jsonText(value) ?? '')).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('escapes what a terminal or a script could take for something else', () => {
    expect(quote('a\x1b[31m\x9b\u202e\u2028"\\\n')).toBe(
      '"a\\u001b[31m\\u009b\\u202e\\u2028\\"\\\\\\n"',
    );
    expect(quote('\udb40\udc01')).toBe('"\\udb40\\udc01"');
  });
});
