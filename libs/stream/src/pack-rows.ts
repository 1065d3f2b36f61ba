import { pack } from '@netstatd/bus';
import type { EventRow, EventType } from '@netstatd/events';
import { eventFields } from '@netstatd/events';
import { MAX_MESSAGE_BYTES } from './message.ts';

/** Rows tried in one message; about 120 KB of connections. */
export const MESSAGE_ROWS = 512;

/** The part of a batch or page that carries its rows. */
interface RowsBody {
  readonly fields: Partial<Record<EventType, readonly string[]>>;
  readonly events: readonly EventRow[];
}

/** What {@link packRows} made: a message, or a row that is too large for any. */
export type PackedRows =
  | { readonly payload: Uint8Array; readonly rows: readonly EventRow[] }
  | { readonly oversized: EventRow };

/**
 * Packs rows into messages of at most {@link MAX_MESSAGE_BYTES}, in order. `envelope` completes
 * the body; it is called anew for each message, after the one before was taken.
 */
export function* packRows(
  rows: readonly EventRow[],
  envelope: (body: RowsBody) => object,
): Generator<PackedRows, void, undefined> {
  if (rows.length > MESSAGE_ROWS) {
    for (let at = 0; at < rows.length; at += MESSAGE_ROWS)
      yield* packRows(rows.slice(at, at + MESSAGE_ROWS), envelope);
    return;
  }
  const payload = pack(envelope({ fields: fieldsOf(rows), events: rows }));
  const [first] = rows;
  if (payload.length <= MAX_MESSAGE_BYTES || first === undefined) {
    yield { payload, rows };
  } else if (rows.length === 1) {
    yield { oversized: first };
  } else {
    const half = rows.length >> 1;
    yield* packRows(rows.slice(0, half), envelope);
    yield* packRows(rows.slice(half), envelope);
  }
}

function fieldsOf(rows: readonly EventRow[]): RowsBody['fields'] {
  const fields: Partial<Record<EventType, readonly string[]>> = {};
  let previous: EventType | undefined;
  for (const [type] of rows) {
    if (type === previous) continue;
    previous = type;
    fields[type] = eventFields[type];
  }
  return fields;
}
