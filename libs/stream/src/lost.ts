import type { EventRow } from '@netstatd/events';
import { columns } from '@netstatd/events';

const { dropped } = columns['stream.lagged'];

/** Events that a row says were lost before it: what a `stream.lagged` with a number tells; 0 of all others. */
export function lostBy(row: EventRow): number {
  if (row[0] !== 'stream.lagged') return 0;
  const count = row[dropped];
  return typeof count === 'number' && Number.isSafeInteger(count) && count > 0 ? count : 0;
}
