import { eventTypes } from './fields.ts';
import {
  filterParameters,
  MAX_VALUE_LENGTH,
  MAX_VALUES,
  nothing,
  type FilterParameter,
  type RowTest,
} from './filter-parameters.ts';
import type { EventRow } from './rows.ts';
import { shorten } from './text.ts';
import type { EventType } from './types.ts';

/** Why parameters are no filter; every text is short and printable. */
export interface FilterError {
  readonly parameter: string;
  readonly value: string;
  readonly allowed: string;
}

/**
 * A compiled filter. Values of one parameter are alternatives, different parameters must all hold. A row that
 * lacks the field does not match; host.info, snapshot.complete, node.* and stream.lagged, which are about no
 * connection, always pass, unless `type` excludes them (never snapshot.complete and stream.lagged) or `node`
 * does (never stream.lagged).
 */
export interface Filter {
  matches(row: EventRow, nodeName: string): boolean;
  /** Whether any event of a node other than stream.lagged can match. */
  wantsNode(nodeName: string): boolean;
  /** Whether any row of a type can match. */
  wantsType(type: EventType): boolean;
  /** Equal for filters that match the same rows by the same parameters, however they were written. */
  readonly key: string;
  /** Whether the opening state is wanted. */
  readonly snapshot: boolean;
  /** The parameters in canonical form, without `snapshot`, e.g. for a snapshot request. */
  toQuery(): Record<string, string[]>;
}

const byName = new Map(filterParameters.map((parameter) => [parameter.name, parameter]));

/** What is wrong with a filter, in one line. */
export function filterErrorText({ parameter, value, allowed }: FilterError): string {
  return `${parameter}: "${value}" is not allowed; allowed: ${allowed}`;
}

/** The pairs of a query by name, as `parseFilter` takes them. */
export function* queryPairs(
  query: Readonly<Record<string, readonly string[]>>,
): Generator<[string, string]> {
  for (const [name, values] of Object.entries(query)) {
    for (const value of values) yield [name, value];
  }
}

/**
 * Reads filter parameters (a URLSearchParams will do), checks them and compiles them. An unknown parameter, a
 * wrong value, a value of more than 256 characters, more than 64 values of one parameter, or two different
 * values of a flag are an error that names the parameter.
 */
export function parseFilter(
  parameters: Iterable<readonly [string, string]>,
): { filter: Filter } | { error: FilterError } {
  const chosen = new Map<string, Set<string>>();
  const counts = new Map<string, number>();
  const refuse = (parameter: string, value: string, allowed: string) => ({
    error: { parameter: shorten(parameter), value: shorten(value), allowed },
  });
  for (const [name, value] of parameters) {
    const parameter = byName.get(name);
    if (!parameter) return refuse(name, value, `parameters ${[...byName.keys()].join(', ')}`);
    const count = (counts.get(name) ?? 0) + 1;
    if (count > MAX_VALUES) return refuse(name, value, `at most ${MAX_VALUES} values`);
    if (value.length > MAX_VALUE_LENGTH)
      return refuse(name, value, `at most ${MAX_VALUE_LENGTH} characters`);
    const canonical = parameter.parse(value);
    if (canonical === undefined) return refuse(name, value, parameter.allowed);
    const values = (chosen.get(name) ?? new Set()).add(canonical);
    if (!parameter.repeatable && values.size > 1) return refuse(name, value, 'one value');
    counts.set(name, count);
    chosen.set(name, values);
  }
  return { filter: compile(chosen) };
}

function compile(chosen: ReadonlyMap<string, ReadonlySet<string>>): Filter {
  const active = filterParameters.flatMap((parameter) => {
    const values = chosen.get(parameter.name);
    return values ? [{ parameter, values }] : [];
  });
  const tests = new Map(eventTypes.map((type) => [type, compileType(type, active)]));
  const nodes = chosen.get('node');
  const query = Object.fromEntries(
    active
      .filter(({ parameter }) => parameter.name !== 'snapshot')
      .map(({ parameter, values }) => [parameter.name, [...values].sort()]),
  );
  if (query.loopback?.[0] === 'true') delete query.loopback;
  const wantsNode = (nodeName: string) => nodes?.has(nodeName) ?? true;
  return {
    key: [...queryPairs(query)]
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
      .join('&'),
    snapshot: !chosen.get('snapshot')?.has('false'),
    toQuery: () => structuredClone(query),
    wantsNode,
    wantsType: (type) => tests.get(type) !== 'none',
    matches(row, nodeName) {
      const rowTests = tests.get(row[0]);
      if (rowTests === undefined || rowTests === 'none') return false;
      if (!wantsNode(nodeName) && row[0] !== 'stream.lagged') return false;
      for (const test of rowTests) if (!test(row)) return false;
      return true;
    },
  };
}

function compileType(
  type: EventType,
  active: readonly { parameter: FilterParameter; values: ReadonlySet<string> }[],
): readonly RowTest[] | 'none' {
  const tests = active.flatMap(({ parameter, values }) => parameter.test(type, values) ?? []);
  return tests.includes(nothing) ? 'none' : tests;
}
