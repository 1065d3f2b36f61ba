/**
 * `npm run bench`: installs what is missing, builds what has changed and the loads in C, and runs the
 * benchmarks with the given arguments, as root.
 */
import { build as bundle } from 'esbuild';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { build, root, setup } from '../scripts/setup.mjs';
import { fail, findProgram, isRoot, rootPrefix, run } from '../scripts/system.mjs';

const args = process.argv.slice(2);
const asksOnly = args.includes('--help');
const prefix = asksOnly ? [] : rootPrefix();
if (!prefix) fail('it needs root to load kernel programs: run it as root, or install sudo');

if (!asksOnly) {
  await setup('start');
  if ((await build('start')) !== 0) fail('the build failed, see above');
  if ((await run(['make', '-s', '-C', join(root, 'bench', 'native')])) !== 0) fail('no loads');
}
const source = (name) => join(root, 'bench', 'src', `${name}.ts`);
await bundle({
  entryPoints: [source('main'), source('client'), source('relay')],
  outdir: join(root, 'bench', '.output', 'js'),
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  sourcemap: true,
  logLevel: 'warning',
});

// Dies with this process; through sudo, sudo itself passes signals on.
const guard = isRoot ? [findProgram('setpriv'), '--pdeathsig', 'TERM', '--'] : [];
const program = join(root, 'bench', '.output', 'js', 'main.js');
const command = [...prefix, ...guard, process.execPath, program, ...args];
const child = spawn(command[0], command.slice(1), { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.once('error', (error) => fail(error.message));
child.once('exit', (code) => process.exit(code ?? 1));
