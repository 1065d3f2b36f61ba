/** What a figure is held to; `worst` takes the worst round instead of the median. */
export type Goal = ({ atLeast: number } | { atMost: number }) & { worst?: true };

/** What was measured beside it in the same run, to hold the figure against. */
export interface Limit {
  what: string;
  unit: string;
  /** One value a round. */
  rounds: number[];
}

/** One line of the table, under a key of the contract. */
export interface Figure {
  key: string;
  unit: string;
  goal: Goal;
  /** One value a round. */
  rounds: number[];
  limit?: Limit;
  /** What belongs to its understanding and changes from run to run. */
  note?: string;
}

export interface Spread {
  min: number;
  median: number;
  max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const at = (index: number) => sorted[index] ?? NaN;
  return {
    min: at(0),
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    max: at(sorted.length - 1),
  };
}

export function isMet({ goal, rounds }: Figure): boolean {
  const { min, median, max } = spread(rounds);
  if ('atLeast' in goal) return (goal.worst ? min : median) >= goal.atLeast;
  return (goal.worst ? max : median) <= goal.atMost;
}

export function goalText(goal: Goal): string {
  return 'atLeast' in goal ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`;
}
