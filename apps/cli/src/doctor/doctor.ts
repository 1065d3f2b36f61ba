import { join } from 'node:path';
import { PROCFS_MISSES } from '@netstatd/procfs';
import { loadSettings, netstatdVersion, SettingError } from '@netstatd/service';
import { CommandError, exitCodes } from '../exit.ts';
import { findObstacles, thisMachine } from '../up/checks.ts';
import { upSettings } from '../up/settings.ts';
import { gapsOf, reportHooks } from './hooks.ts';
import { cgroupChecks, kernelChecks } from './kernel.ts';
import { busChecks, machineChecks } from './machine.ts';
import { listeners, portChecks } from './ports.ts';
import { probeCapture } from './probe.ts';
import type { Probe } from './probe.ts';
import type { Check, Report } from './report.ts';
import { reportText } from './report-text.ts';
import { rightsChecks } from './rights.ts';
import { runtimeChecks } from './runtimes.ts';
import { System } from './system.ts';

/** Exit codes of `netstatd doctor` that say what can be captured; 1 and 2 are every command's. */
export const verdictCodes = { full: exitCodes.ok, partial: 3, none: 4 } as const;

/** `netstatd doctor`: resolves with the exit code. Changes nothing, and leaves nothing behind. */
export async function doctor({ json = false }: { json?: boolean }): Promise<number> {
  const { stdout } = process;
  const report = await examine(join(__dirname, '..'));
  const text = json
    ? `${JSON.stringify(report, undefined, 2)}\n`
    : reportText(report, stdout.isTTY && !process.env.NO_COLOR);
  stdout.on('error', () => undefined);
  await new Promise((resolve) => stdout.write(text, resolve));
  return report.exitCode;
}

/** Looks at this machine as `netstatd up` would find it; every part of it ends within seconds. */
async function examine(distDir: string, system = new System()): Promise<Report> {
  const settings = upSettingsOf(process.env);
  const taken = listeners(system);
  const isFree = (port: number) => Promise.resolve(!taken.some((one) => one.port === port));
  const [probe, runtimes, bus, machine, obstacles] = await Promise.all([
    probeCapture(distDir),
    runtimeChecks(system, process.env.CONTAINERD_SOCKET),
    busChecks(settings),
    machineChecks(system, settings),
    findObstacles(settings, distDir, { ...thisMachine(), isFree }),
  ]);
  const checks = [
    ...kernelChecks(system),
    ...rightsChecks(system),
    ...cgroupChecks(system),
    ...runtimes,
    ...bus,
    ...portChecks(system, settings, taken),
    ...machine,
  ];
  const hasProcfs = system.text('/proc/net/tcp') !== undefined;
  return reportOf(probe, checks, obstacles, { hasProcfs, wanted: settings.source });
}

/** Puts together what was found; `wanted` is the `--source` of `up`. */
export function reportOf(
  probe: Probe,
  checks: Check[],
  obstacles: string[],
  { hasProcfs, wanted }: { hasProcfs: boolean; wanted: string },
): Report {
  const hooks = 'hooks' in probe ? reportHooks(probe.hooks) : [];
  const polled = hasProcfs ? 'procfs' : undefined;
  const bpf = 'hooks' in probe ? 'bpf' : undefined;
  const source = bpf ?? polled;
  const gaps =
    source === 'bpf'
      ? [...gapsOf(hooks), ...checks.flatMap(({ gap }) => gap ?? [])]
      : source === 'procfs'
        ? [...PROCFS_MISSES]
        : ['everything'];
  const verdict = source === undefined ? 'none' : gaps.length === 0 ? 'full' : 'partial';
  const used: Record<string, Report['up']['source']> = { auto: source, bpf, procfs: polled };
  return {
    v: 1,
    version: netstatdVersion,
    verdict,
    exitCode: verdictCodes[verdict],
    summary: summaryOf(source, gaps, probe),
    gaps,
    up: upOf(wanted in used ? used[wanted] : 'replay', obstacles, checks, probe),
    ...('hooks' in probe ? { capture: probe.kinds } : { captureError: probe.error }),
    hooks,
    checks,
  };
}

/** What keeps `up` from starting: what it says itself, and what it would meet on its way. */
function upOf(
  source: Report['up']['source'],
  found: string[],
  checks: Check[],
  probe: Probe,
): Report['up'] {
  const wrong = checks.filter(
    ({ subject, state }) => subject === 'state directory' && state === 'fail',
  );
  const obstacles = new Set([
    ...found,
    ...wrong.map(({ text, remedy = '' }) => `${text}; ${remedy}`),
  ]);
  if (obstacles.size === 0 && source === undefined) obstacles.add(reasonOf(probe));
  return { starts: obstacles.size === 0, ...(source && { source }), obstacles: [...obstacles] };
}

const reasonOf = (probe: Probe) =>
  'error' in probe ? probe.error.message.replace(/^cannot capture: /, '') : '/proc is not mounted';

function summaryOf(source: string | undefined, gaps: string[], probe: Probe): string {
  if (source === 'bpf') {
    if (gaps.length === 0) return 'full capture is possible: every hook that is wanted is attached';
    return `partial capture is possible: without ${gaps.join('; ')}`;
  }
  const why = reasonOf(probe);
  if (source === 'procfs') {
    return `partial capture is possible: from /proc alone (${why}), without ${gaps.join('; ')}`;
  }
  return `no capture is possible: ${why}`;
}

function upSettingsOf(env: NodeJS.ProcessEnv) {
  try {
    return loadSettings(upSettings, [], env);
  } catch (error) {
    if (error instanceof SettingError) throw new CommandError(error.message, exitCodes.usage);
    throw error;
  }
}
