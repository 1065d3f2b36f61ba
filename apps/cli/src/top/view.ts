import { cellText, inCells } from './cells.ts';
import { columnsOf, fit, headLine, natural, rateText, rowLine } from './columns.ts';
import type { Connection, Connections } from './connections.ts';
import type { Group, Grouping } from './groups.ts';

/** What the person at the keyboard has chosen. */
export interface Choice {
  readonly by: Grouping;
  /** Id of the column that sorts. */
  readonly sort: string;
  readonly reverse: boolean;
  /** Rows that contain this text are shown. */
  readonly search: string;
  /** The text is being typed. */
  readonly typing: boolean;
  readonly scroll: number;
  readonly paused: boolean;
  readonly help: boolean;
}

/** What is known of the stream besides its events. */
export interface Stream {
  readonly url: string;
  /** Connected, or why not. */
  readonly away: string | undefined;
  /** Events lost, by place; where no number is known, how often. */
  readonly lost: ReadonlyMap<string, Loss>;
}

export interface Loss {
  events: number;
  /** Losses whose size nobody knows. */
  unknown: number;
}

export interface Line {
  readonly text: string;
  readonly style: 'plain' | 'head' | 'dim' | 'warn' | 'bold';
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export type Row = Connection | Group;

const HELP = [
  'up down j k      one row          PgUp PgDn Home End  further',
  's S              sort by the next, the previous column',
  'r                reverse the order',
  'g                group by process, program, remote, connection',
  '/                show rows with a text; Enter keeps it, Esc drops it',
  'p                hold the table, which goes on counting',
  '?                this help        q  quit',
];

const HINT = 'q quit  s sort  r reverse  g group  / filter  p hold  ? help';

/** Everything there is to show. */
export const allRows = (table: Connections, by: Grouping): Iterable<Row> =>
  by === 'connection' ? table.values() : table.groups.values();

/** Copies that stay as they are at `now`. */
export function heldRows(rows: Iterable<Row>, now: number): Row[] {
  return [...rows].map((row) => {
    if (!('rate' in row)) return { ...row };
    const rate = row.rate.at(now);
    return { ...row, rate: { count: () => undefined, at: () => rate } };
  });
}

/** The rows to show, filtered and sorted; a row without a value for the sort comes last. */
export function rowsOf(all: Iterable<Row>, choice: Choice, now: number): Row[] {
  const { by, search, sort, reverse } = choice;
  const columns = columnsOf(by);
  const wanted = search.toLowerCase();
  const has = (row: Row) =>
    columns.some(({ text }) => text(row, now).toLowerCase().includes(wanted));
  const rows = wanted === '' ? [...all] : [...all].filter(has);
  const column = columns.find(({ id }) => id === sort) ?? columns[0];
  const keyed = rows.map((row) => ({ row, value: column?.value(row, now) ?? '' }));
  // Equal values keep a fixed order, so that rows do not dance.
  keyed.sort((a, b) => compare(a.value, b.value) || compare(a.row.key, b.row.key));
  if (reverse) keyed.reverse();
  return keyed.map(({ row }) => row);
}

function compare(a: number | string, b: number | string): number {
  if (typeof a === 'number' && typeof b === 'number') return b - a;
  return a < b ? -1 : Number(a > b);
}

/** Rows of the table that a terminal of this size has room for. */
export const pageRows = ({ rows }: Size) => Math.max(1, rows - 4);

/** The whole screen: exactly `size.rows` lines of `size.columns` cells. */
export function screenLines(
  table: Connections,
  rows: readonly Row[],
  choice: Choice,
  stream: Stream,
  size: Size,
  now: number,
): Line[] {
  const columns = fit(columnsOf(choice.by), size.columns);
  const first = Math.min(choice.scroll, Math.max(0, rows.length - pageRows(size)));
  const shown = rows.slice(first, first + pageRows(size));
  const lines: Line[] = [
    { text: titleText(table, stream, now), style: 'bold' },
    { text: lossText(table, stream), style: stream.lost.size > 0 ? 'warn' : 'dim' },
    { text: headLine(columns), style: 'head' },
    ...(choice.help
      ? HELP.map((text): Line => ({ text, style: 'plain' }))
      : shown.map((row): Line => ({
          text: rowLine(columns, row, now),
          style: isOver(row) ? 'dim' : 'plain',
        }))),
  ].slice(0, Math.max(0, size.rows - 1)) as Line[];
  while (lines.length < size.rows - 1) lines.push({ text: '', style: 'plain' });
  lines.push(footLine(choice, first, shown.length, rows.length));
  return lines.map(({ text, style }) => ({ text: inCells(text, size.columns), style }));
}

const isOver = (row: Row) => ('open' in row ? row.open === 0 : row.closedAt !== undefined);

function titleText(table: Connections, { url, away }: Stream, now: number): string {
  const counts = `${table.open} open  ${rateText(table.rate.at(now))} new/s`;
  return `netstatd top  ${counts}  ${away === undefined ? cellText(url) : cellText(away)}`;
}

function lossText(table: Connections, { lost }: Stream): string {
  const places = [...lost].map(([place, { events, unknown }]) => {
    const sizes = [events > 0 ? `${events}` : '', unknown > 0 ? `${unknown}× unknown` : ''];
    return `${cellText(place)} ${sizes.filter(Boolean).join(' + ') || '0'}`;
  });
  const room = table.evicted > 0 ? `  not shown for want of room: ${table.evicted}` : '';
  return `lost events: ${places.join(', ') || 'none'}${room}`;
}

function footLine(choice: Choice, first: number, shown: number, all: number): Line {
  if (choice.typing) return { text: `/${cellText(choice.search)}_`, style: 'plain' };
  const parts = [
    choice.paused ? 'HELD' : '',
    all > shown ? `${first + 1}-${first + shown} of ${all}` : `${all} rows`,
    `by ${choice.sort}${choice.reverse ? ' reversed' : ''}`,
    choice.search === '' ? '' : `with "${cellText(choice.search)}"`,
    HINT,
  ];
  return { text: parts.filter(Boolean).join('  '), style: 'dim' };
}

/** The table once, for a reader that is no terminal: no colour, nothing cut, no rates yet. */
export function plainLines(table: Connections, choice: Choice, now: number): string[] {
  const rows = rowsOf(allRows(table, choice.by), choice, now);
  const unmeasured = new Set(['rate', ...(choice.by === 'connection' ? ['age'] : [])]);
  const columns = natural(
    columnsOf(choice.by).filter(({ id }) => !unmeasured.has(id)),
    rows,
    now,
  );
  return [headLine(columns), ...rows.map((row) => rowLine(columns, row, now))].map((line) =>
    line.trimEnd(),
  );
}
