/** One thing that must hold, what was measured, and whether it does. */
export interface Verdict {
  name: string;
  measured: string;
  /** What it is held against. */
  rule: string;
  ok: boolean;
}

const count = (n: number) => n.toLocaleString('en-US');

/** A sum in words: `1,200 made = 1,000 seen + 200 counted`. */
export function sumText(made: number, seen: number, counted: number): string {
  return `${count(made)} made, ${count(seen)} seen, ${count(counted)} counted`;
}

/** Verdicts as a table, those that do not hold marked. */
export function tableOf(verdicts: readonly Verdict[]): string {
  const width = (read: (verdict: Verdict) => string) =>
    Math.max(...verdicts.map((verdict) => read(verdict).length));
  const [name, measured] = [width((each) => each.name), width((each) => each.measured)];
  return verdicts
    .map(
      (each) =>
        `${each.ok ? 'ok  ' : 'FAIL'}  ${each.name.padEnd(name)}  ${each.measured.padEnd(measured)}  ${each.rule}`,
    )
    .join('\n');
}
