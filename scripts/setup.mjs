/**
 * Makes this machine ready: system packages, node_modules, build. Quiet when all is there.
 * Usage: node scripts/setup.mjs [start|soak|kernels|test]
 */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { packagesFor } from './packages.mjs';
import { fail, findProgram, rootPrefix, run, step } from './system.mjs';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** @param {'start' | 'soak' | 'kernels' | 'test'} goal */
export async function setup(goal) {
  checkNode();
  if (process.platform !== 'linux') fail(`netstatd needs Linux, this is ${process.platform}`);
  await installPackages(goal);
  await installModules();
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    fail(`Node ${process.versions.node} is too old: install Node 20.19 or later (nodejs.org)`);
  }
}

async function installPackages(goal) {
  const missing = packagesFor(goal).filter(({ programs, file }) =>
    file ? !existsSync(file) : !programs.some(findProgram),
  );
  if (missing.length === 0) return;
  const what = missing.map(({ programs, file }) => file ?? programs.at(-1));
  if (!findProgram('apt-get')) {
    fail(`this is no Debian, so install these by your system's means: ${what.join(', ')}`);
  }
  for (const { debian, why } of missing) {
    console.error(`installing ${debian.at(-1)}, which ${why}`);
  }
  const manual = `apt-get install ${missing.map(({ debian }) => debian.at(-1)).join(' ')}`;
  const asRoot = rootPrefix();
  if (!asRoot) fail(`neither root nor sudo to install them; have root run: ${manual}`);
  const script = join(root, 'scripts', 'apt-install.sh');
  const wanted = missing.map(({ debian }) => debian.join('|'));
  const said = [];
  const code = await run([...asRoot, 'sh', script, ...wanted], {
    onLine: (line) => {
      said.push(line);
      if (/^(Setting up|netstatd:) /.test(line)) console.error(`  ${line.replace(/ \(.*/, '')}`);
    },
  });
  if (code !== 0) fail(`${said.slice(-15).join('\n')}\nnetstatd: failed; try yourself: ${manual}`);
}

/** As the lock says, when there is nothing yet or the lock is newer than what is there. */
async function installModules() {
  const installed = statSync(join(root, 'node_modules', '.package-lock.json'), {
    throwIfNoEntry: false,
  });
  const lock = statSync(join(root, 'package-lock.json'));
  if (installed && installed.mtimeMs >= lock.mtimeMs) return;
  const npm = findProgram('npm');
  if (!npm) fail('npm is not installed: apt-get install npm, or install Node from nodejs.org');
  console.error('installing the Node packages of package-lock.json (about half a minute)');
  const said = [];
  const code = await step('npm ci', () =>
    run([npm, 'ci', '--no-progress'], { cwd: root, onLine: (line) => said.push(line) }),
  );
  if (code !== 0) fail(`${said.join('\n')}\nnetstatd: npm ci failed, see above`);
}

/** Builds what has changed, tests' helpers only for tests. Resolves with nx's exit code. */
export async function build(goal) {
  const said = [];
  const command = [join(root, 'node_modules', '.bin', 'nx'), 'run-many', '-t', 'build'];
  if (goal === 'start') command.push('--exclude=@netstatd/testkit');
  const code = await step('build', () =>
    run(command, { cwd: root, onLine: (line) => said.push(line) }),
  );
  if (code !== 0) console.error(said.join('\n'));
  return code;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const goal = process.argv[2] ?? 'start';
  await setup(goal);
  process.exitCode = await build(goal);
}
