/** `npm run soak`: connections, processes and namespaces come and go, and every service is killed once. */
import { writeFileSync } from 'node:fs';
import { whyNot } from '@netstatd/testkit';
import { thisMachine } from '../frame/machine.ts';
import { header } from '../frame/report.ts';
import { balance } from './balance.ts';
import { bounds } from './bounds.ts';
import { levels } from './levels.ts';
import { help, readOptions, type Options } from './options.ts';
import { Progress } from './progress.ts';
import { Soak } from './run.ts';
import { tableOf, type Verdict } from './verdict.ts';

/** Of two minutes or more; of one it is half. */
const PEERS = 500_000;

function peersVerdict(peers: number, { minutes, rate }: Options): Verdict {
  const least = Math.round(PEERS * Math.min(1, minutes / 2) * Math.min(1, rate / 3000));
  return {
    name: 'distinct peers seen',
    measured: peers.toLocaleString('en-US'),
    rule: `≥ ${least.toLocaleString('en-US')}`,
    ok: peers >= least,
  };
}

function verdictsOf(soak: Soak, options: Options): Verdict[] {
  const { account, restarts, watch, samples, verdicts } = soak;
  const { peers, malformed } = watch.state;
  const closed = account.done.reduce((sum, { seen }) => sum + seen.closed + seen.acceptedClosed, 0);
  return [
    peersVerdict(peers, options),
    ...balance(account.done, restarts, watch.lagged),
    ...verdicts,
    ...bounds(samples, closed),
    ...levels(samples, soak.beginMs, soak.endMs),
    { name: 'frames that were none', measured: `${malformed}`, rule: '0', ok: malformed === 0 },
  ];
}

function toJson(options: Options, soak: Soak, verdicts: Verdict[]): string {
  const { restarts, late, account, watch, samples } = soak;
  return `${JSON.stringify(
    {
      ...{ machine: thisMachine(), options, verdicts, restarts, late },
      ...{ lagged: watch.lagged, client: watch.state, groups: account.done },
      ...{ tables: Object.fromEntries(samples.tables), parts: Object.fromEntries(samples.parts) },
      others: samples.others,
    },
    null,
    1,
  )}\n`;
}

async function main(options: Options): Promise<void> {
  const progress = new Progress();
  const soak = new Soak(options, progress);
  let closing: Promise<string[]> | undefined;
  const close = () => (closing ??= soak.close());
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      progress.note('stopping');
      void close().then(() => process.exit(130));
    });
  process.stdout.write(`${header(thisMachine())}\n`);
  try {
    await soak.run();
    progress.end();
    const verdicts = verdictsOf(soak, options);
    const left = await close();
    verdicts.push({
      name: 'nothing is left',
      measured: left.length === 0 ? 'nothing' : left.join(', '),
      rule: 'no process, BPF object, file',
      ok: left.length === 0,
    });
    process.stdout.write(`${tableOf(verdicts)}\n`);
    if (options.json !== undefined) writeFileSync(options.json, toJson(options, soak, verdicts));
    const failed = verdicts.filter(({ ok }) => !ok).length;
    if (failed > 0) process.stderr.write(soak.log);
    process.stdout.write(`${verdicts.length - failed} hold, ${failed} do not\n`);
    process.exitCode = failed > 0 ? 1 : 0;
  } catch (error) {
    // A stop ends what the run waits for: that is no failure of its own.
    if (!closing) progress.note(`${soak.log}soak: ${(error as Error).message}`);
    await close();
    process.exitCode = 1;
  }
}

function begin(): void {
  let options: Options | undefined;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`soak: ${(error as Error).message}\n`);
    process.exit(2);
  }
  if (!options) {
    process.stdout.write(help);
    return;
  }
  const reason = whyNot('root', 'btf', 'bpf', 'netns', 'cgroup2');
  if (reason !== undefined) {
    process.stderr.write(`soak: not on this machine: ${reason}\n`);
    process.exit(3);
  }
  void main(options).then(() => process.exit());
}

begin();
