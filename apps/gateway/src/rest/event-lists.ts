import { rowToJson, type EventType } from '@netstatd/events';
import type { ServerResponse } from 'node:http';
import type { View } from '../view.ts';
import { ListWriter } from './list-writer.ts';
import { unanswered } from './problems.ts';
import type { RestOptions } from './routes.ts';
import { cursorText, type Cursor, type ListQuery } from './query.ts';

/** A node whose items are not in the answer. */
export interface Missing {
  readonly nodeName: string;
  readonly reason: string;
}

/** What an error says, for an answer. */
export const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** Nodes that a list asks, in the order in which a cursor goes through them. */
function askedNodes(view: View, query: ListQuery): string[] {
  const from = query.cursor.node ?? '';
  return view.nodes().filter((node) => query.filter.wantsNode(node) && node >= from);
}

/**
 * Answers with a node's (or all nodes') events of one type out of their snapshots, as they come.
 * The filter, the limit and the cursor are the enricher's work; nothing is kept here.
 */
export async function listEvents(
  { view, turns }: Pick<RestOptions, 'turns' | 'view'>,
  type: EventType,
  query: ListQuery,
  response: ServerResponse,
): Promise<void> {
  const writer = new ListWriter(response);
  const missing: Missing[] = [];
  let left = query.limit;
  let next: Cursor | undefined;
  for (const node of query.filter.wantsType(type) ? askedNodes(view, query) : []) {
    if (left <= 0) {
      next = { node };
      break;
    }
    const after = node === query.cursor.node ? query.cursor.after : undefined;
    const request = {
      types: [type],
      filter: query.filter,
      limit: left,
      ...(after === undefined ? {} : { after }),
    };
    try {
      for await (const page of view.source(node).snapshot(request, turns)) {
        for (const row of page.rows) {
          if (row[0] !== type || !query.filter.matches(row, node)) continue;
          left -= 1;
          writer.add(rowToJson(row, node));
        }
        if (page.next !== undefined) next = { node, after: page.next };
        await writer.flow();
        if (writer.gone) return;
      }
    } catch (error) {
      if (view.kind === 'node' && !writer.started) throw unanswered(node, reasonOf(error));
      if (view.kind === 'node') {
        // Half a list must not look like a whole one.
        response.destroy();
        return;
      }
      missing.push({ nodeName: node, reason: reasonOf(error) });
    }
    if (next !== undefined) break;
  }
  writer.end({
    next: next === undefined ? undefined : cursorText(next),
    missing: missing.length > 0 ? missing : undefined,
  });
}
