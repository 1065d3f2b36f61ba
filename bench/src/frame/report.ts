import { goalText, isMet, spread, type Figure } from './figure.ts';
import type { Machine } from './machine.ts';

/** What a benchmark gave: figures, or why there are none. */
export interface Outcome {
  name: string;
  seconds: number;
  /** The largest part of the machine that others used meanwhile, 0 to 1. */
  others: number;
  figures: Figure[];
  refused?: string;
}

function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  return Number(value.toPrecision(3)).toString();
}

export function header(machine: Machine): string {
  const { cpu, cpus, memoryGB, kernel, system, node, nats, virtual } = machine;
  return `${cpus} × ${cpu}, ${memoryGB} GB, ${virtual}; Linux ${kernel}, ${system}; node ${node}, ${nats}`;
}

const columns = [28, 14, 10, 10, 10, 11, 6];

function row(cells: readonly string[]): string {
  return cells
    .map((cell, i) => (i < 2 ? cell.padEnd(columns[i] ?? 0) : cell.padStart(columns[i] ?? 0)))
    .join(' ');
}

export const tableHead = row(['figure', 'unit', 'min', 'median', 'max', 'goal', 'met']);

export function tableRows({ name, figures, refused }: Outcome): string[] {
  if (refused !== undefined) return [`${name}: no figures: ${refused}`];
  return figures.flatMap((figure) => {
    const { min, median, max } = spread(figure.rounds);
    const met = isMet(figure) ? 'yes' : 'NO';
    const numbers = [short(min), short(median), short(max), goalText(figure.goal), met];
    const lines = [row([figure.key, figure.unit, ...numbers])];
    if (figure.limit) {
      const limit = spread(figure.limit.rounds);
      const text = [short(limit.min), short(limit.median), short(limit.max)];
      lines.push(`${row(['  limit', figure.limit.unit, ...text])}  ${figure.limit.what}`);
    }
    if (figure.note !== undefined) lines.push(`  ${figure.note}`);
    return lines;
  });
}

export function toJson(machine: Machine, outcomes: readonly Outcome[]): string {
  const figures = Object.fromEntries(
    outcomes.flatMap(({ figures: made }) =>
      made.map((figure) => {
        const { key, unit, goal, rounds, limit, note } = figure;
        const against = limit && { what: limit.what, unit: limit.unit, ...spread(limit.rounds) };
        return [
          key,
          {
            ...{ unit, rounds: rounds.length, ...spread(rounds), goal: goalText(goal) },
            ...{ met: isMet(figure), limit: against, note },
          },
        ];
      }),
    ),
  );
  const runs = outcomes.map(({ name, seconds, others, refused }) => ({
    ...{ name, seconds, others, refused },
  }));
  return `${JSON.stringify({ machine, figures, runs }, null, 2)}\n`;
}
