import { eventFields, eventTypes } from './fields.ts';
import type { EventRow } from './rows.ts';
import { formatMicros } from './text.ts';
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

const heads = new Map<EventType, string>(
  eventTypes.map((type) => [type, `{"type":"${type}","timestamp":"`]),
);
const keys = new Map<EventType, readonly string[]>(
  eventTypes.map((type) => [type, ['', ...eventFields[type].map((name) => `,"${name}":`)]]),
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

/** The event of a row as one line of JSON, `type`, `timestamp` and `nodeName` first. */
export function rowToJson(row: EventRow, nodeName: string): string {
  const type = row[0];
  let text = (heads.get(type) ?? '') + formatMicros(Number(row[1])) + nodeText(nodeName);
  const names = keys.get(type) ?? [];
  const length = Math.min(row.length, names.length);
  for (let index = 2; index < length; index++) {
    const value = row[index];
    if (value === undefined || value === null) continue;
    const valueText = typeof value === 'string' ? quote(value) : jsonText(value);
    if (valueText !== undefined) text += (names[index] ?? '') + valueText;
  }
  return `${text}}`;
}
