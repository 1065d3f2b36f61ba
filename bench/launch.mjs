/** Builds and runs one of the programs here, as root, so that it ends when its terminal does. */
import { build as bundle } from 'esbuild';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { build, root, setup } from '../scripts/setup.mjs';
import { fail, findProgram, isRoot, rootPrefix, run } from '../scripts/system.mjs';

/**
 * Installs what is missing, builds what has changed and the loads in C, bundles the entries (name and source below
 * bench/src) and runs the first with the arguments. Does not return.
 * @param {'start' | 'soak'} goal what has to be installed
 */
export async function launch(goal, entries, args) {
  const asksOnly = args.includes('--help');
  const prefix = asksOnly ? [] : rootPrefix();
  if (!prefix) fail('it needs root to load kernel programs: run it as root, or install sudo');

  if (!asksOnly) {
    await setup(goal);
    if ((await build('start')) !== 0) fail('the build failed, see above');
    if ((await run(['make', '-s', '-C', join(root, 'bench', 'native')])) !== 0) fail('no loads');
  }
  const outdir = join(root, 'bench', '.output', 'js');
  await bundle({
    entryPoints: Object.entries(entries).map(([out, source]) => ({
      out,
      in: join(root, 'bench', 'src', source),
    })),
    outdir,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    sourcemap: true,
    logLevel: 'warning',
  });

  // Dies with this process; through sudo, sudo itself passes signals on.
  const guard = isRoot ? [findProgram('setpriv'), '--pdeathsig', 'TERM', '--'] : [];
  const program = join(outdir, `${Object.keys(entries)[0]}.js`);
  const command = [...prefix, ...guard, process.execPath, program, ...args];
  const child = spawn(command[0], command.slice(1), { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => child.kill(signal));
  child.once('error', (error) => fail(error.message));
  child.once('exit', (code) => process.exit(code ?? 1));
}
