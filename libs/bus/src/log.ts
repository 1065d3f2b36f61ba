/** What the bus and the stream need of a logger; pino's is one. */
export interface BusLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Says nothing, for consumers that have no log. */
export const quietLog: BusLog = { info: () => undefined, warn: () => undefined };
