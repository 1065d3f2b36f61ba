import { printable } from '@netstatd/events';

/** pino's own fields, which the short form shows otherwise or not at all. */
const SHOWN_OTHERWISE = new Set(['level', 'time', 'service', 'msg', 'pid', 'hostname']);
const IMPORTANT = new Set(['warn', 'error', 'fatal']);

/** A service's log line as a person reads it. */
export interface ShortLine {
  important: boolean;
  text: string;
}

/** `message key=value …` of a JSON log line; any other line as it is. Control characters are shown. */
export function shortLine(line: string): ShortLine {
  const record = parse(line);
  if (!record) return { important: true, text: printable(line.slice(0, 500)) };
  const level = typeof record.level === 'string' ? record.level : 'info';
  const message = typeof record.msg === 'string' ? record.msg : '';
  const fields = Object.entries(record)
    .filter(([key]) => !SHOWN_OTHERWISE.has(key))
    .map(([key, value]) => `${key}=${brief(value)}`);
  const text = [IMPORTANT.has(level) ? `${level}:` : '', message, ...fields].filter(Boolean);
  return { important: IMPORTANT.has(level), text: printable(text.join(' ').slice(0, 500)) };
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function brief(value: unknown): string {
  if (typeof value === 'string') return value;
  // An error's stack is in the log file; the terminal gets what went wrong.
  const error = value as { message?: unknown } | null;
  return typeof error?.message === 'string' ? error.message : JSON.stringify(value);
}
