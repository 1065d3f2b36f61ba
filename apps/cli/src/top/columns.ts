import { cellWidth, inCells } from './cells.ts';
import type { Connection } from './connections.ts';
import type { Group, Grouping } from './groups.ts';

/** A column of the table; `T` is what a row stands for. */
export interface Column<T> {
  /** What it is sorted by on the command line. */
  readonly id: string;
  readonly title: string;
  readonly align: 'left' | 'right';
  /** Cells it needs, and cells beyond which it would only waste room. */
  readonly min: number;
  readonly max: number;
  /** Of a narrow terminal, the column with the highest number goes first. */
  readonly rank: number;
  readonly text: (row: T, now: number) => string;
  /** What rows are compared by: greater numbers first, texts from A to Z. */
  readonly value: (row: T, now: number) => number | string;
}

type Texts<T> = Pick<Column<T>, 'text' | 'value'>;
type Shape = readonly [id: string, title: string, min: number, max: number, rank: number];

function column<T>(shape: Shape, align: 'left' | 'right', texts: Texts<T>): Column<T> {
  const [id, title, min, max, rank] = shape;
  return { id, title, align, min, max, rank, ...texts };
}

const words = <T>(shape: Shape, text: (row: T) => string): Column<T> =>
  column(shape, 'left', { text, value: text });

const numbers = <T>(
  shape: Shape,
  value: (row: T, now: number) => number | undefined,
  show: (value: number) => string = String,
): Column<T> =>
  column(shape, 'right', {
    text: (row, now) => {
      const known = value(row, now);
      return known === undefined ? '-' : show(known);
    },
    value: (row, now) => value(row, now) ?? -1,
  });

const connectionColumns: readonly Column<Connection>[] = [
  words(['process', 'PROCESS', 8, 24, 2], ({ program }) => program || '-'),
  numbers(['pid', 'PID', 7, 7, 5], ({ pid }) => pid),
  words(['protocol', 'PROTO', 5, 5, 7], ({ protocol }) => protocol),
  words(['direction', 'DIR', 3, 3, 6], ({ direction }) => direction),
  words(['local', 'LOCAL', 15, 47, 8], ({ local }) => local || '-'),
  words(['remote', 'REMOTE', 15, 47, 1], ({ remote }) => remote || '-'),
  words(['state', 'STATE', 11, 23, 3], ({ state, reason }) => state + (reason && ` ${reason}`)),
  numbers(
    ['age', 'AGE', 5, 5, 4],
    ({ since, closedAt, durationMicros }, now) =>
      closedAt === undefined ? now - since : durationMicros && durationMicros / 1000,
    ageText,
  ),
  numbers(['sent', 'SENT', 6, 6, 9], ({ sent }) => sent, bytesText),
  numbers(['received', 'RECV', 6, 6, 10], ({ received }) => received, bytesText),
  numbers(['rtt', 'RTT ms', 7, 7, 12], ({ rttMicros }) => rttMicros, millisText),
  words(['container', 'CONTAINER', 12, 40, 11], ({ container }) => container),
  words(['node', 'NODE', 6, 20, 13], ({ node }) => node),
];

const groupColumns: readonly Column<Group>[] = [
  words(['process', 'PROCESS', 8, 47, 1], ({ name }) => name),
  numbers(['pid', 'PID', 7, 7, 4], ({ pid }) => pid),
  numbers(['rate', 'CONN/S', 8, 8, 3], ({ rate }, now) => rate.at(now), rateText),
  numbers(['open', 'OPEN', 6, 6, 2], ({ open }) => open),
  numbers(['failed', 'FAILED', 6, 6, 5], ({ failed }) => failed),
  numbers(['sent', 'SENT', 6, 6, 6], ({ sent }) => sent || undefined, bytesText),
  numbers(['received', 'RECV', 6, 6, 7], ({ received }) => received || undefined, bytesText),
  words(['container', 'CONTAINER', 12, 40, 8], ({ container }) => container),
  words(['node', 'NODE', 6, 20, 9], ({ node }) => node),
];

const ofProcessOnly = new Set(['pid', 'container', 'node']);

/** The columns of a grouping, in the order they are shown and sorted by. */
export function columnsOf(by: Grouping): readonly Column<Connection | Group>[] {
  // Rows and columns of one grouping always go together; see `rowsOf`.
  if (by === 'connection') return connectionColumns as readonly Column<Connection | Group>[];
  const columns = groupColumns
    .filter(({ id }) => by === 'process' || !ofProcessOnly.has(id))
    .map((one) => (one.id === 'process' ? { ...one, id: by, title: by.toUpperCase() } : one));
  return columns as unknown as readonly Column<Connection | Group>[];
}

/** A column and the cells it is given. */
export type Fitted<T> = readonly [column: Column<T>, width: number];

/**
 * The columns that fit into a line of `width` cells, two between neighbours, the least important left
 * out; what is left over goes to those that have use for it. At least one column is always there.
 */
export function fit<T>(columns: readonly Column<T>[], width: number): Fitted<T>[] {
  const chosen = [...columns].sort((a, b) => a.rank - b.rank);
  const needed = () => chosen.reduce((sum, { min }) => sum + min + 2, -2);
  while (chosen.length > 1 && needed() > width) chosen.pop();
  let spare = width - needed();
  const widths = new Map(chosen.map((one) => [one, Math.min(one.min, width)]));
  for (let growing = true; growing && spare > 0;) {
    growing = false;
    for (const one of chosen) {
      const now = widths.get(one) ?? 0;
      if (spare <= 0 || now >= one.max) continue;
      widths.set(one, now + 1);
      spare--;
      growing = true;
    }
  }
  return columns.flatMap((one) => {
    const cells = widths.get(one);
    return cells === undefined ? [] : [[one, cells] as const];
  });
}

/** Every column as wide as its widest cell: for a reader that is no terminal. */
export function natural<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  now: number,
): Fitted<T>[] {
  return columns.map((one) => {
    const widest = rows.reduce((most, row) => Math.max(most, cellWidth(one.text(row, now))), 0);
    return [one, Math.max(widest, one.title.length)] as const;
  });
}

export function headLine<T>(columns: readonly Fitted<T>[]): string {
  return columns.map(([{ title, align }, width]) => inCells(title, width, align)).join('  ');
}

export function rowLine<T>(columns: readonly Fitted<T>[], row: T, now: number): string {
  return columns
    .map(([{ text, align }, width]) => inCells(text(row, now), width, align))
    .join('  ');
}

/** Bytes in at most five cells: `999`, `1.2K`, `345M`. */
export function bytesText(bytes: number): string {
  const units = ['', 'K', 'M', 'G', 'T', 'P'];
  let value = bytes;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  const digits = unit > 0 && value < 99.95 ? 1 : 0;
  return value.toFixed(digits) + (units[unit] ?? '');
}

/** Milliseconds in at most five cells: `0.4s`, `59s`, `12m`, `99h`, `365d`. */
export function ageText(ms: number): string {
  const s = Math.max(0, ms) / 1000;
  if (s < 9.95) return `${s.toFixed(1)}s`;
  if (s < 120) return `${Math.round(s)}s`;
  if (s < 7200) return `${Math.round(s / 60)}m`;
  return s < 172_800 ? `${Math.round(s / 3600)}h` : `${Math.round(s / 86_400)}d`;
}

function millisText(micros: number): string {
  const ms = micros / 1000;
  return ms < 99.95 ? ms.toFixed(2) : ms.toFixed(0);
}

export function rateText(rate: number): string {
  return rate < 0.05 ? '0' : rate < 99.95 ? rate.toFixed(1) : rate.toFixed(0);
}
