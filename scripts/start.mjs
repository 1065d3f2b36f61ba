/**
 * `npm start`: installs what is missing, builds what has changed, and runs `netstatd up` with the
 * given flags, through sudo when it is an ordinary user who starts it.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { build, root, setup } from './setup.mjs';
import { fail, findProgram, isRoot, rootPrefix } from './system.mjs';

/** Settings from the environment that sudo would otherwise take away. */
const settings = [
  'NODE_NAME',
  'NATS_URL',
  'LOG_LEVEL',
  'STATE_DIR',
  'CONTAINERD_SOCKET',
  'FANOUT_SERVICE',
  'LOOPBACK',
  'UDP',
  'RING_BYTES',
  'FLOW_IDLE_SECONDS',
  'SWEEP_MS',
  'ACCEPT_WAIT_MS',
  'PROC_ROOT',
  'SERVICES_FILE',
  'MAX_CLIENTS',
];

const args = process.argv.slice(2);
const asksOnly = args.some((arg) => arg === '--help' || arg === '--version');

const prefix = asksOnly ? [] : rootPrefix(settings);
if (!prefix) fail('it needs root to load kernel programs: run npm start as root, or install sudo');

await setup('start');
if ((await build('start')) !== 0) fail('the build failed, see above');

// Through sudo a death signal would be lost; there, sudo itself passes signals on.
const guard = isRoot ? [findProgram('setpriv'), '--pdeathsig', 'TERM', '--'] : [];
const command = [...prefix, ...guard, process.execPath, join(root, 'dist', 'cli', 'main.js'), 'up'];
const child = spawn(command[0], [...command.slice(1), ...args], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.once('error', (error) => fail(error.message));
child.once('exit', (code) => process.exit(code ?? 1));
