import { execFile } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseBusUrl } from '@netstatd/bus';
import { printable, shorten } from '@netstatd/events';
import type { UpSettings } from '../up/settings.ts';
import type { Check } from './report.ts';
import type { System } from './system.ts';

const TIMEOUT_MS = 2000;
/** Logs of the services and the bus are rotated below this. */
const DISK_NEEDED = 100e6;

/** The bus that `up` would use: one that is named and must answer, or a program to start. */
export async function busChecks(settings: UpSettings): Promise<Check[]> {
  const group = 'bus';
  if (settings.natsUrl !== undefined) {
    const { servers } = parseBusUrl(settings.natsUrl);
    return Promise.all(
      servers.map(async (server): Promise<Check> => {
        const answer = await greeting(server);
        const check = { group, subject: 'NATS_URL' } as const;
        if ('info' in answer) {
          return { ...check, state: 'ok', text: `${printable(server)} answers, ${answer.info}` };
        }
        return {
          ...check,
          state: 'fail',
          text: `${printable(server)} does not answer (${answer.failure})`,
          remedy: 'start it, or unset NATS_URL for a private one',
        };
      }),
    );
  }
  const version = await versionOf(settings.natsServer);
  const remedy = 'apt-get install nats-server, or name one by --nats-server, a bus by --nats-url';
  return [
    version === undefined
      ? { group, subject: 'nats-server', state: 'fail', text: 'not installed', remedy }
      : { group, subject: 'nats-server', state: 'ok', text: version },
  ];
}

/** What else `up` needs of the machine. */
export async function machineChecks(system: System, settings: UpSettings): Promise<Check[]> {
  const group = 'machine';
  const setpriv = await versionOf('setpriv');
  const remedy = 'apt-get install util-linux';
  return [
    setpriv === undefined
      ? { group, subject: 'setpriv', state: 'fail', text: 'not installed', remedy }
      : { group, subject: 'setpriv', state: 'ok', text: setpriv },
    await stateDirCheck(system, settings.stateDir),
  ];
}

async function stateDirCheck(system: System, stateDir: string): Promise<Check> {
  const check = { group: 'machine', subject: 'state directory' } as const;
  let directory = stateDir;
  while (directory !== '/' && !system.exists(directory)) directory = dirname(directory);
  const shown = printable(stateDir);
  const remedy = 'choose another by netstatd up --state-dir';
  if (!system.may(directory, 'W_OK')) {
    const text = `${shown}: ${printable(directory)} may not be written to`;
    return { ...check, state: 'fail', text, remedy };
  }
  const limit = sleep(TIMEOUT_MS, undefined, { ref: false });
  const disk = await Promise.race([statfs(system.path(directory)).catch(() => undefined), limit]);
  if (!disk) {
    return { ...check, state: 'warn', text: `${shown}: its disk does not answer`, remedy };
  }
  const free = disk.bavail * disk.bsize;
  const text = `${shown}, ${(free / 1e9).toFixed(1)} GB free`;
  return free < DISK_NEEDED
    ? { ...check, state: 'warn', text, remedy }
    : { ...check, state: 'ok', text };
}

/** First line of what `program --version` says; undefined when there is no such program. */
function versionOf(program: string): Promise<string | undefined> {
  const env = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin:/sbin` };
  const options = { env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' } as const;
  return new Promise((resolve) => {
    execFile(program, ['--version'], options, (error, stdout) => {
      const [line = ''] = stdout.split('\n');
      if (error && typeof error.code === 'string') resolve(undefined);
      else resolve(shorten(line, 60) || 'of an unknown version');
    });
  });
}

/** What a NATS server says first: `INFO {…}`. */
function greeting(server: string): Promise<{ info: string } | { failure: string }> {
  const { hostname, port } = new URL(`tcp://${server}`);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname.replace(/^\[|\]$/g, ''));
    const end = (answer: { info: string } | { failure: string }) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => end({ failure: 'no answer in time' }), TIMEOUT_MS);
    socket.once('data', (bytes) => {
      const text = bytes.toString('latin1');
      const version = /"version":"([\w.+-]{1,40})"/.exec(text)?.[1];
      if (text.startsWith('INFO '))
        end({ info: `nats-server ${version ?? 'of an unknown version'}` });
      else end({ failure: 'it is no NATS server' });
    });
    socket.once('error', (error: NodeJS.ErrnoException) =>
      end({ failure: error.code ?? error.message }),
    );
    socket.once('close', () => end({ failure: 'it closes the connection' }));
  });
}
