import ipaddr from 'ipaddr.js';
import { addressText } from '@netstatd/procfs';
import { cut } from './labels.ts';

/** Readers of what a runtime told, which may be anything: what is not as expected is undefined. */

/** The largest pid that Linux gives. */
const MAX_PID = 4_194_304;
/** A pod has few addresses; more of them are left out. */
const MAX_ADDRESSES = 32;
/** 2200, in microseconds since 1970. */
const MAX_MICROS = 7_258_118_400_000_000;

/** The value at a path of keys through objects. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let here = value;
  for (const key of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, key)) return undefined;
    here = (here as Record<string, unknown>)[key];
  }
  return here;
}

/** A text that is not empty, bounded. */
export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const text = at(value, ...path);
  return typeof text === 'string' && text !== '' ? cut(text) : undefined;
}

export function pidAt(value: unknown, ...path: readonly string[]): number | undefined {
  const pid = at(value, ...path);
  return Number.isInteger(pid) && (pid as number) > 0 && (pid as number) <= MAX_PID
    ? (pid as number)
    : undefined;
}

/** The elements of an array; nothing when it is none. */
export function itemsAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const items: unknown = at(value, ...path);
  return Array.isArray(items) ? (items as unknown[]) : [];
}

/** Addresses in the one text form, each once; texts that are none are left out. */
export function addressesOf(texts: readonly unknown[]): readonly string[] {
  const found = new Set<string>();
  for (const text of texts.slice(0, MAX_ADDRESSES)) {
    const address = typeof text === 'string' ? canonical(text) : undefined;
    if (address !== undefined) found.add(address);
  }
  return [...found];
}

function canonical(text: string): string | undefined {
  const plain = ipaddr.IPv4.isValidFourPartDecimal(text);
  if (!plain && (!/^[0-9a-f:.]{2,45}$/i.test(text) || !ipaddr.IPv6.isValid(text))) return undefined;
  return addressText(Uint8Array.from(ipaddr.parse(text).toByteArray()));
}

/** Microseconds since 1970 of nanoseconds since 1970; 0 and what no clock shows are undefined. */
export function microsOfNanos(nanos: bigint): number | undefined {
  const micros = Number(nanos / 1000n);
  return micros > 0 && micros < MAX_MICROS ? micros : undefined;
}

/** Microseconds since 1970 of an RFC 3339 time; Go's zero time (year 1) and other texts are undefined. */
export function microsOfTime(text: unknown): number | undefined {
  if (typeof text !== 'string' || text.length > 64) return undefined;
  const [, seconds, fraction = '', zone] =
    /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text) ?? [];
  if (seconds === undefined || zone === undefined) return undefined;
  const millis = Date.parse(`${seconds}${zone}`);
  const micros = millis * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6));
  return micros > 0 && micros < MAX_MICROS ? micros : undefined;
}
