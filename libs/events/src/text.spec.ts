import fc from 'fast-check';
import { arbitraryMicros, arbitraryText } from './arbitrary-events.ts';
import { formatMicros, parseMicros, printable, shorten } from './text.ts';

describe('formatMicros', () => {
  it('and parseMicros are inverse, and order as the numbers do', () => {
    fc.assert(
      fc.property(arbitraryMicros, arbitraryMicros, (a, b) => {
        expect(parseMicros(formatMicros(a))).toBe(a);
        expect(formatMicros(a).slice(0, 23)).toBe(
          new Date(Math.floor(a / 1000)).toISOString().slice(0, 23),
        );
        expect(formatMicros(a) < formatMicros(b)).toBe(a < b);
      }),
    );
  });

  it.each([NaN, -1, -Infinity, 0, 0.5])('is the start of 1970 for %p', (value) => {
    expect(formatMicros(value)).toBe('1970-01-01T00:00:00.000000Z');
  });

  it('stays total at the far end', () => {
    expect(formatMicros(Infinity)).toBe('2255-06-05T23:47:34.740991Z');
  });

  it('parses any number of digits, and nothing else', () => {
    expect(parseMicros('1970-01-01T00:00:01Z')).toBe(1e6);
    expect(parseMicros('1970-01-01T00:00:00.1234567Z')).toBe(123456);
    for (const bad of ['', 'x', '1970-01-01', '1970-13-01T00:00:00Z', '1970-01-01T00:00:00+01:00'])
      expect(parseMicros(bad)).toBeNaN();
  });
});

describe('printable', () => {
  it('shows what would act on a terminal', () => {
    expect(printable('a\x1b[2J\n\r\t\x7f\x9b b\\')).toBe(
      'a\\x1b[2J\\x0a\\x0d\\x09\\x7f\\x9b b\\\\',
    );
    expect(printable('\u202egnp.exe\u2028\ud800\udb40\udc01')).toBe(
      '\\u{202e}gnp.exe\\u{2028}\\u{d800}\\u{e0001}',
    );
    expect(printable('käse 日本 🎧')).toBe('käse 日本 🎧');
  });

  it('is one visible line that can be undone', () => {
    fc.assert(
      fc.property(arbitraryText, (text) => {
        const shown = printable(text);
        expect(shown).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
        const undone = shown.replace(/\\(?:\\|x(..)|u\{(.+?)\})/g, (_, two, more) =>
          two === undefined && more === undefined
            ? '\\'
            : String.fromCodePoint(parseInt((two ?? more) as string, 16)),
        );
        expect(undone).toBe(text);
      }),
    );
  });

  it('can be cut short', () => {
    expect(shorten('x'.repeat(64))).toHaveLength(64);
    expect(shorten('x'.repeat(65))).toBe(`${'x'.repeat(64)}…`);
    expect(shorten('\x1b'.repeat(1e6))).toHaveLength(65);
  });
});
