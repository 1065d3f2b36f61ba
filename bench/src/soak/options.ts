import { parseArgs } from 'node:util';

export interface Options {
  minutes: number;
  /** Connections a second; flows are three fifths of that. */
  rate: number;
  json: string | undefined;
}

const DEFAULTS = { minutes: 20, rate: 3000 };

export const help = `usage: npm run soak -- [--minutes N] [--rate N] [--json FILE]

  --minutes N  how long (${DEFAULTS.minutes}); 1 to 10,080
  --rate N     connections a second (${DEFAULTS.rate}), and three UDP flows for each five; 100 to 20,000
  --json FILE  write verdicts and samples to a file as well

Ends with 0 when every verdict holds, with 3 on a machine that cannot run it, else with 1. docs/operations.md says what
the verdicts mean.
`;

function numberIn(name: string, text: string | undefined, from: number, to: number, or: number) {
  const value = text === undefined ? or : Number(text);
  if (!(value >= from && value <= to))
    throw new RangeError(`--${name}: a number from ${from} to ${to} is allowed, not "${text}"`);
  return value;
}

/**
 * The options of the command line; nothing when only help is asked for.
 * @throws RangeError or TypeError with one line on what is wrong
 */
export function readOptions(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      ...{ minutes: { type: 'string' }, rate: { type: 'string' }, json: { type: 'string' } },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  return {
    minutes: numberIn('minutes', values.minutes, 1, 10_080, DEFAULTS.minutes),
    rate: numberIn('rate', values.rate, 100, 20_000, DEFAULTS.rate),
    json: values.json,
  };
}
