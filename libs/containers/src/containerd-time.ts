import type { Timestamp } from './generated/containerd/wire.ts';

/** The year 5138: what is later is no time. */
const MAX_SECONDS = 100_000_000_000n;

/** Microseconds since 1970; undefined for none, for Go's zero time (the year 1), and for what cannot be a time. */
export function microsOf(time: Timestamp | undefined): number | undefined {
  if (time === undefined || time.seconds <= 0n || time.seconds > MAX_SECONDS) return undefined;
  const nanos = Math.min(Math.max(time.nanos, 0), 999_999_999);
  return Number(time.seconds) * 1_000_000 + Math.floor(nanos / 1000);
}
