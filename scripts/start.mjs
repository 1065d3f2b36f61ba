/**
 * `npm start`: installs what is missing, builds what has changed, and runs `netstatd up` with the
 * given flags, through sudo when it is an ordinary user who starts it. Where that cannot be had,
 * connections come from /proc, which any user may read.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { build, root, setup } from './setup.mjs';
import { fail, findProgram, isRoot, rootPrefix, run } from './system.mjs';

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
  'NETSTATD_SOURCE',
  'NETSTATD_RECORD',
  'RECORD_BYTES',
  'REPLAY_SPEED',
  'POLL_MS',
  'SERVICES_FILE',
  'MAX_CLIENTS',
];

const args = process.argv.slice(2);
const asksOnly = args.some((arg) => arg === '--help' || arg === '--version');

/** The words that give the rights which the source needs; none where it needs none, or cannot have them. */
async function rights() {
  const at = args.findLastIndex((arg) => arg === '--source' || arg.startsWith('--source='));
  const flag = args[at]?.includes('=') ? args[at].slice('--source='.length) : args[at + 1];
  const source = (at < 0 ? undefined : flag) ?? process.env.NETSTATD_SOURCE ?? 'auto';
  if (asksOnly || isRoot || (source !== 'auto' && source !== 'bpf')) return [];
  const prefix = rootPrefix(settings);
  // Asks for the password now if there is to be one: the question would be lost in what follows.
  if (prefix && (await run([prefix[0], '-v'])) === 0) return prefix;
  if (source === 'bpf') {
    fail('it needs root to load kernel programs: run npm start as root, or install sudo');
  }
  console.error(
    'netstatd: neither root nor sudo: it reads /proc, which shows less than the kernel',
  );
  return [];
}

const prefix = await rights();

await setup('start');
if ((await build('start')) !== 0) fail('the build failed, see above');

// Through sudo a death signal would be lost; there, sudo itself passes signals on.
const guard = prefix.length === 0 ? [findProgram('setpriv'), '--pdeathsig', 'TERM', '--'] : [];
const command = [...prefix, ...guard, process.execPath, join(root, 'dist', 'cli', 'main.js'), 'up'];
const child = spawn(command[0], [...command.slice(1), ...args], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.once('error', (error) => fail(error.message));
child.once('exit', (code) => process.exit(code ?? 1));
