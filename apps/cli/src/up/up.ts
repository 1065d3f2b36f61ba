import { join } from 'node:path';
import { helpText, loadSettings, netstatdVersion, SettingError } from '@netstatd/service';
import { CommandError, exitCodes } from '../exit.ts';
import { findObstacles } from './checks.ts';
import { choosePorts } from './free-ports.ts';
import { followStatus } from './live-status.ts';
import { OneMachine } from './one-machine.ts';
import { upSettings } from './settings.ts';
import { StateDir } from './state-dir.ts';
import { Terminal } from './terminal.ts';

const about =
  'Starts everything on this machine: a private bus, the services and the page. Ctrl+C stops it.';

/** One Ctrl+C arrives twice, from the terminal and from npm that passes it on. */
const SAME_SIGNAL_MS = 300;

export const upHelp = () => helpText('netstatd up', about, upSettings);

/** `netstatd up`: resolves with the exit code when all is stopped again. */
export async function up(args: readonly string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(upHelp());
    return exitCodes.ok;
  }
  if (args.includes('--version')) {
    process.stdout.write(`${netstatdVersion}\n`);
    return exitCodes.ok;
  }
  const settings = readSettings(args);
  // dist/cli/main.js, beside dist/collector and the others.
  const distDir = join(__dirname, '..');
  const stateDir = new StateDir(settings.stateDir);
  try {
    const obstacles = await findObstacles(settings, distDir);
    if (obstacles.length > 0) throw new CommandError(obstacles.join('\nnetstatd: '));
    const terminal = new Terminal();
    const ports = await choosePorts(settings);
    const machine = new OneMachine({ ...settings, ...ports }, distDir, stateDir, terminal);
    return await untilTold(machine, terminal);
  } finally {
    stateDir.release();
  }
}

function readSettings(args: readonly string[]) {
  try {
    return loadSettings(upSettings, args, process.env);
  } catch (error) {
    if (error instanceof SettingError) throw new CommandError(error.message, exitCodes.usage);
    throw error;
  }
}

async function untilTold(machine: OneMachine, terminal: Terminal): Promise<number> {
  let firstAt: number | undefined;
  const onSignal = () => {
    if (firstAt === undefined) {
      firstAt = performance.now();
      terminal.status('');
      terminal.line('stopping …');
      machine.end(exitCodes.ok);
    } else if (performance.now() - firstAt > SAME_SIGNAL_MS) {
      machine.kill();
      process.exit(exitCodes.killed);
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  // The terminal may go away before we do.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const stopStatus = terminal.live ? followStatus(machine, terminal) : () => undefined;
  try {
    return await machine.run();
  } catch (error) {
    throw new CommandError((error as Error).message);
  } finally {
    stopStatus();
    await machine.stop();
  }
}
