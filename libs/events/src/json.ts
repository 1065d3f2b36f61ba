import { eventFields, eventTypes } from './fields.ts';
import { rowMicros, type EventRow } from './rows.ts';
import { formatMicros, printable } from './text.ts';
import type { EventType } from './types.ts';

/**
 * The JSON text of an event, made from its row by concatenation: about the cost of reading the row. All text
 * is valid JSON whatever the values are: what JSON cannot say (undefined, NaN, functions) is left out.
 */

/** Anything but printable ASCII, the quote and the backslash. */
const UNSAFE = /[^ !#-[\]-~]/;
/** What JSON.stringify leaves as it is, but a terminal, a script or a human may take for something else. */
const TREACHEROUS = /[\x7f-\x9f\p{Cf}\u2028\u2029]/gu;

/** A JSON string that is safe in a terminal and in a script: only visible characters are not escaped. */
export function quote(text: string): string {
  if (!UNSAFE.test(text)) return `"${text}"`;
  return JSON.stringify(text).replace(TREACHEROUS, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

/** JSON text of plain data, undefined when there is none. Nesting is bounded by whoever decoded the data. */
export function jsonText(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'number':
      return Number.isFinite(value) ? String(value) : undefined;
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'object':
      return value === null ? 'null' : objectText(value);
    default:
      return undefined;
  }
}

function objectText(value: object): string {
  if (Array.isArray(value)) {
    return `[${value.map((item) => jsonText(item) ?? 'null').join(',')}]`;
  }
  let text = '';
  for (const [key, item] of Object.entries(value)) {
    const itemText = jsonText(item);
    if (itemText !== undefined) text += `${text === '' ? '' : ','}${quote(key)}:${itemText}`;
  }
  return `{${text}}`;
}

/**
 * How the rows of one type are written. Neighbouring events share many values (protocol, process, container), so
 * the last value of each column is kept with its text: to compare is cheaper than to check and to quote again.
 */
interface Writer {
  readonly head: string;
  readonly keys: readonly string[];
  readonly lastValues: unknown[];
  readonly lastTexts: string[];
}

const writers = new Map<EventType, Writer>(
  eventTypes.map((type) => {
    const keys = ['', ...eventFields[type].map((name) => `,"${name}":`)];
    return [
      type,
      {
        head: `{"type":"${type}","timestamp":"`,
        keys,
        lastValues: keys.map(() => undefined),
        lastTexts: keys.map(() => ''),
      },
    ];
  }),
);

let lastNode: string | undefined;
let lastNodeText = '';

function nodeText(nodeName: string): string {
  if (nodeName !== lastNode) {
    lastNode = nodeName;
    lastNodeText = `","nodeName":${quote(nodeName)}`;
  }
  return lastNodeText;
}

/**
 * The event of a row as one line of JSON, `type`, `timestamp` and `nodeName` first.
 * @throws {TypeError} when the row is of no known type; rows from outside go through `rowMapper` first.
 */
export function rowToJson(row: EventRow, nodeName: string): string {
  const writer = writers.get(row[0]);
  if (!writer) throw new TypeError(`unknown type of event: ${printable(row[0])}`);
  const { keys, lastValues, lastTexts } = writer;
  let text = writer.head + formatMicros(rowMicros(row)) + nodeText(nodeName);
  const length = Math.min(row.length, keys.length);
  for (let index = 2; index < length; index++) {
    const value = row[index];
    if (value === undefined || value === null) continue;
    if (value !== lastValues[index]) {
      const valueText = jsonText(value);
      if (valueText === undefined) continue;
      // Objects may change behind our back; what is kept must not.
      lastValues[index] = typeof value === 'object' ? undefined : value;
      lastTexts[index] = (keys[index] ?? '') + valueText;
    }
    text += lastTexts[index] ?? '';
  }
  return `${text}}`;
}
