import pino from 'pino';
import type { LogLevel } from './setting.ts';

/** A structured log: `log.warn({ port }, 'message')`. */
export type Log = pino.Logger;

/** JSON lines on stderr, which leaves stdout to the program's data. */
export function createLog(options: { name: string; level: LogLevel; fd?: number }): Log {
  return pino(
    {
      level: options.level,
      base: { service: options.name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.err },
    },
    // Synchronous: the line that tells why a process dies has to be out before it is dead.
    pino.destination({ fd: options.fd ?? 2, sync: true }),
  );
}

type Level = 'info' | 'warn' | 'error';

/** Keys remembered at a time; beyond it the oldest is forgotten and would be logged anew. */
const MAX_KEYS = 256;

/** Logs a repeating message at once, and its repetitions as a count, at most once a period. */
export class LogOnce {
  readonly #seen = new Map<string, { loggedAt: number; suppressed: number }>();
  readonly #log: Pick<Log, Level>;
  readonly #everyMs: number;
  readonly #now: () => number;

  constructor(log: Pick<Log, Level>, options: { everyMs?: number; now?: () => number } = {}) {
    this.#log = log;
    this.#everyMs = options.everyMs ?? 60_000;
    this.#now = options.now ?? (() => performance.now());
  }

  info(key: string, fields: object, message: string): void {
    this.#write('info', key, fields, message);
  }

  warn(key: string, fields: object, message: string): void {
    this.#write('warn', key, fields, message);
  }

  error(key: string, fields: object, message: string): void {
    this.#write('error', key, fields, message);
  }

  /** The trouble of `key` is over: says so with the count of what was not logged, if it was logged. */
  over(key: string, message: string): void {
    const entry = this.#seen.get(key);
    if (!entry) return;
    this.#seen.delete(key);
    this.#log.info({ suppressed: entry.suppressed }, message);
  }

  #write(level: Level, key: string, fields: object, message: string): void {
    const now = this.#now();
    const entry = this.#seen.get(key);
    if (entry && now - entry.loggedAt < this.#everyMs) {
      entry.suppressed++;
      return;
    }
    const suppressed = entry?.suppressed ?? 0;
    this.#seen.delete(key);
    this.#seen.set(key, { loggedAt: now, suppressed: 0 });
    if (this.#seen.size > MAX_KEYS) {
      const [oldest] = this.#seen.keys();
      if (oldest !== undefined) this.#seen.delete(oldest);
    }
    this.#log[level](suppressed > 0 ? { ...fields, suppressed } : fields, message);
  }
}
