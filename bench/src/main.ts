/** `npm run bench`: measures, prints a table, and writes the same as JSON. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { chain } from './benchmarks/chain.ts';
import { churn } from './benchmarks/churn.ts';
import { containers } from './benchmarks/containers.ts';
import { cpu } from './benchmarks/cpu.ts';
import { kernelChurn } from './benchmarks/kernel-churn.ts';
import { kernelRunTime } from './benchmarks/kernel-run-time.ts';
import { latency } from './benchmarks/latency.ts';
import { memory } from './benchmarks/memory.ts';
import { overhead } from './benchmarks/overhead.ts';
import { ring } from './benchmarks/ring.ts';
import { snapshot } from './benchmarks/snapshot.ts';
import type { Benchmark } from './frame/benchmark.ts';
import { thisMachine } from './frame/machine.ts';
import { header, tableHead, tableRows, toJson, type Outcome } from './frame/report.ts';
import { Disturbed, Rounds } from './frame/rounds.ts';

const benchmarks: Benchmark[] = [
  ...[
    kernelChurn,
    kernelRunTime,
    ring,
    chain,
    churn,
    latency,
    snapshot,
    memory,
    containers,
    cpu,
    overhead,
  ],
];

const help = `usage: npm run bench -- [NAME...] [--rounds N] [--quick] [--json FILE] [--disturbed]

  NAME         only the benchmarks, or those with figures, whose names begin so
  --rounds N   measure each figure N times (5)
  --quick      shorter and fewer rounds: for a look, not for figures
  --json FILE  write the figures to a file as well
  --disturbed  take rounds during which others used the machine, too

${benchmarks.map(({ name, what }) => `  ${name.padEnd(13)}${what}`).join('\n')}
`;

function fail(message: string): never {
  process.stderr.write(`bench: ${message}\n`);
  process.exit(2);
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'string' },
        rounds: { type: 'string' },
        quick: { type: 'boolean', default: false },
        disturbed: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    return fail((error as Error).message);
  }
}

async function runOne(benchmark: Benchmark, rounds: Rounds): Promise<Outcome> {
  const { name } = benchmark;
  const begin = performance.now();
  const outcome = (rest: Partial<Outcome>): Outcome => ({
    ...{ name, figures: [], seconds: (performance.now() - begin) / 1000, others: rounds.others },
    ...rest,
  });
  try {
    return outcome({ figures: await benchmark.run(rounds) });
  } catch (error) {
    const reason = (error as Error).message;
    return outcome({ refused: error instanceof Disturbed ? reason : `it failed: ${reason}` });
  }
}

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  if (values.help) {
    process.stdout.write(help);
    return;
  }
  const count = Number(values.rounds ?? (values.quick ? 2 : 5));
  if (!Number.isInteger(count) || count < 1) fail('--rounds: a whole number from 1 is allowed');
  const wanted = benchmarks.filter(
    ({ name }) =>
      positionals.length === 0 ||
      positionals.some((word) => name.startsWith(word) || word.startsWith(`${name}.`)),
  );
  if (wanted.length === 0)
    fail(`no benchmark of that name; there are ${benchmarks.map(({ name }) => name).join(', ')}`);
  const machine = thisMachine();
  process.stdout.write(`${header(machine)}\n\n${tableHead}\n`);
  const outcomes: Outcome[] = [];
  for (const benchmark of wanted) {
    const { quick, disturbed } = values;
    const outcome = await runOne(benchmark, new Rounds({ rounds: count, quick, disturbed }));
    outcomes.push(outcome);
    process.stdout.write(`${tableRows(outcome).join('\n')}\n`);
    process.stderr.write(`  ${outcome.name}: ${outcome.seconds.toFixed(0)} s\n`);
  }
  if (values.json !== undefined) writeFileSync(values.json, toJson(machine, outcomes));
  if (outcomes.some(({ refused }) => refused !== undefined)) process.exitCode = 1;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
void main().then(() => process.exit());
