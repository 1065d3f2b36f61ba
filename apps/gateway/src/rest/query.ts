import { filterParameters, parseFilter, shorten, type Filter } from '@netstatd/events';
import { z } from 'zod';
import { badParameter, ProblemError } from './problems.ts';

export const maxLimit = 10_000;
export const defaultLimit = 1_000;

/** Where a list goes on: the node, and the enricher's own cursor or the number of items passed. */
const cursorSchema = z.strictObject({
  node: z.string().max(253).optional(),
  after: z.union([z.int().min(0), z.string().max(256)]).optional(),
});
export type Cursor = z.infer<typeof cursorSchema>;

/** What a list is asked for. */
export interface ListQuery {
  readonly filter: Filter;
  readonly limit: number;
  readonly cursor: Cursor;
}

/** The filters of the WebSocket, but for what only a stream has. */
const listFilters: ReadonlySet<string> = new Set(
  filterParameters.map(({ name }) => name).filter((name) => name !== 'snapshot'),
);

const cursorAllowed = 'the "next" of an earlier answer';

/** The text of a cursor, opaque to clients. */
export function cursorText(cursor: Cursor): string {
  return Buffer.from(JSON.stringify(cursor)).toString('base64url');
}

function parseCursor(text: string): Cursor {
  try {
    return cursorSchema.parse(JSON.parse(Buffer.from(text, 'base64url').toString()));
  } catch {
    throw badParameter('cursor', shorten(text), cursorAllowed);
  }
}

function parseLimit(text: string): number {
  const limit = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > maxLimit) {
    throw badParameter('limit', shorten(text), `an integer from 1 to ${maxLimit}`);
  }
  return limit;
}

/** Names that one list knows a filter by beside the usual one. */
export type Aliases = Readonly<Partial<Record<string, string>>>;

/** What clients of /api/containers ask for has the name of the field, too. */
export const containerAliases: Aliases = { podName: 'pod' };

/**
 * Reads a list's parameters: the filters of the WebSocket (without `snapshot`), `limit`, `cursor`.
 * @throws ProblemError (400) naming the first parameter that is wrong
 */
export function parseListQuery(
  parameters: URLSearchParams,
  filters: ReadonlySet<string> | 'all' = 'all',
  aliases: Aliases = {},
): ListQuery {
  const known = filters === 'all' ? listFilters : filters;
  const pairs: [string, string][] = [];
  let limit = defaultLimit;
  let cursor: Cursor = {};
  const seen = new Set<string>();
  for (const [name, value] of parameters) {
    if (name !== 'limit' && name !== 'cursor') {
      const filter = aliases[name] ?? name;
      if (!known.has(filter)) {
        const names = [...known, ...Object.keys(aliases)].join(', ');
        const allowed = `the parameters ${names}, limit, cursor`;
        throw badParameter(shorten(name), shorten(value), allowed);
      }
      pairs.push([filter, value]);
      continue;
    }
    if (seen.has(name)) throw badParameter(name, shorten(value), 'one value');
    seen.add(name);
    if (name === 'limit') limit = parseLimit(value);
    else cursor = parseCursor(value);
  }
  const parsed = parseFilter(pairs);
  if ('error' in parsed) {
    const { parameter, value, allowed } = parsed.error;
    throw badParameter(parameter, value, allowed);
  }
  return { filter: parsed.filter, limit, cursor };
}

/** The parameters of an endpoint that is no list: each of `allowed` at most once, nothing else. */
export function singleParameters(
  parameters: URLSearchParams,
  allowed: readonly string[],
): Partial<Record<string, string>> {
  const values: Partial<Record<string, string>> = {};
  for (const [name, value] of parameters) {
    if (!allowed.includes(name)) {
      const list = allowed.length === 0 ? 'no parameters' : `the parameters ${allowed.join(', ')}`;
      throw badParameter(shorten(name), shorten(value), list);
    }
    if (values[name] !== undefined) throw badParameter(name, shorten(value), 'one value');
    values[name] = value;
  }
  return values;
}

/** Cuts a whole list to the page that is asked for, counting items: for short lists only. */
export function pageOf<T>(items: readonly T[], query: ListQuery): { items: T[]; next?: string } {
  const { limit, cursor } = query;
  const start = cursor.after ?? 0;
  if (typeof start !== 'number' || cursor.node !== undefined) {
    throw new ProblemError({
      status: 400,
      detail: `cursor: allowed: ${cursorAllowed}`,
      parameter: 'cursor',
    });
  }
  const page = items.slice(start, start + limit);
  const end = start + page.length;
  return end < items.length ? { items: page, next: cursorText({ after: end }) } : { items: page };
}
