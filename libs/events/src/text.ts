/** Text forms shared by every way an event is shown. */

/** Microseconds since 1970 that have four digits of a year and fit a double exactly. */
const MAX_MICROS = Number.MAX_SAFE_INTEGER;

let prefixSecond = -1;
let prefix = '';

/**
 * RFC 3339 text in UTC with six digits (`2025-01-31T12:00:00.000001Z`) of microseconds since 1970.
 * Total: what is no number is 1970, what lies outside 1970…2255 is moved to the nearest bound.
 */
export function formatMicros(micros: number): string {
  const whole = micros > 0 ? Math.min(Math.floor(micros), MAX_MICROS) : 0;
  const second = Math.floor(whole / 1e6);
  if (second !== prefixSecond) {
    prefixSecond = second;
    prefix = new Date(second * 1000).toISOString().slice(0, 20);
  }
  const rest = whole - second * 1e6;
  return prefix + (rest + 1e6).toString().slice(1) + 'Z';
}

/**
 * Microseconds since 1970 of an RFC 3339 text in UTC, with any number of fraction digits (cut to six);
 * NaN when the text is something else.
 */
export function parseMicros(text: string): number {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z$/.exec(text);
  if (!match) return NaN;
  return (
    Date.parse(`${match[1] ?? ''}Z`) * 1000 + Number((match[2] ?? '').padEnd(6, '0').slice(0, 6))
  );
}

const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\\]/gu;

/**
 * Text from outside made fit for a terminal or a message: control characters, line breaks, invisible and
 * direction-changing characters, lone surrogates and the backslash itself become escapes (`\x1b`, `\u{202e}`,
 * `\\`), so that the result is one line, shows all there is, and can be undone.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    if (character === '\\') return '\\\\';
    const code = (character.codePointAt(0) ?? 0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u{${code}}`;
  });
}

/** `printable` text of at most `length` characters (and an ellipsis), for error messages. */
export function shorten(text: string, length = 64): string {
  const start = printable(text.slice(0, length + 1));
  return start.length > length ? `${start.slice(0, length)}…` : start;
}
