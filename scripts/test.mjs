/**
 * `npm test`: installs what is missing, then lint, types, build, and every test: those of the parts
 * two at a time, those that load kernel programs one after the other, those on emulated
 * kernels at last. Its last line is the sum.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';
import { fail, rootPrefix, run } from './system.mjs';

/** Projects whose tests load kernel programs, make network namespaces or run containers: as root, one at a time. */
const kernelProjects = ['libs/capture', 'libs/containers', 'libs/testkit', 'apps/collector'];
/** A run that takes longer hangs; it is ended, and counted as a failure. */
const LIMIT_MS = 20 * 60_000;
const e2eConfig = 'apps/cli/jest.e2e.config.js';
const kernelsConfig = 'libs/capture/kernels/jest.config.js';
/** How a test says that this machine lacks what it needs; any other skip fails in CI. */
const excused = /\(not on this machine: [^)]+\)/;

const sum = { passed: 0, failed: 0, skipped: 0 };
const troubles = [];
const bin = (name) => join(root, 'node_modules', '.bin', name);

function trouble(what) {
  sum.failed++;
  troubles.push(what);
}

async function nx(...targets) {
  console.log(`\n== ${targets.join(', ')}`);
  const command = [bin('nx'), 'run-many', '-t', ...targets, '--parallel=2', '--nxBail=false'];
  if ((await run(command, { cwd: root })) !== 0) trouble(`${targets.join(' or ')} failed`);
}

async function jest(name, prefix, args) {
  console.log(`\n== ${name}`);
  const dir = mkdtempSync(join(tmpdir(), 'netstatd-test-'));
  const file = join(dir, 'result.json');
  const command = [process.execPath, join(root, 'node_modules', 'jest', 'bin', 'jest.js')];
  const output = ['--json', `--outputFile=${file}`, '--passWithNoTests'];
  const code = await run([...prefix, ...command, ...args, ...output], {
    cwd: root,
    // The JSON goes to the file; what jest says to a person is on stderr.
    stdio: ['inherit', 'ignore', 'inherit'],
    timeout: LIMIT_MS,
  });
  const result = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  rmSync(dir, { recursive: true, force: true });
  if (!result) return trouble(`${name}: jest ended with ${code} and no result`);
  count(name, result);
  if (code !== 0 && result.numFailedTests + result.numRuntimeErrorTestSuites === 0) {
    trouble(`${name}: jest ended with ${code}`);
  }
}

function count(name, result) {
  sum.passed += result.numPassedTests;
  sum.failed += result.numFailedTests;
  sum.skipped += result.numPendingTests + result.numTodoTests;
  for (const suite of result.testResults) {
    if (suite.status === 'failed' && suite.assertionResults.length === 0) {
      trouble(`${name}: ${suite.name} did not run`);
    }
    for (const { status, fullName } of suite.assertionResults) {
      if (status === 'failed') troubles.push(`${name}: ${fullName}`);
      else if (status !== 'passed') {
        console.log(`skipped: ${fullName}`);
        if (process.env.CI === 'true' && !excused.test(fullName)) {
          trouble(`${name}: skipped in CI without an excuse: ${fullName}`);
        }
      }
    }
  }
}

const asRoot = rootPrefix(['CI', 'PATH']);
if (!asRoot)
  fail('the tests need root to load kernel programs: run npm test as root, or install sudo');
await setup('test');

const projects = ['libs', 'apps']
  .flatMap((dir) => readdirSync(join(root, dir)).map((name) => `${dir}/${name}`))
  .filter((project) => existsSync(join(root, project, 'jest.config.js')));
const parts = projects.filter((project) => !kernelProjects.includes(project));

await nx('lint', 'typecheck', 'build');
await jest('tests of the parts', [], ['--maxWorkers=2', '--projects', ...parts]);
const kernel = projects.filter((project) => kernelProjects.includes(project));
await jest('tests with the kernel', asRoot, ['--runInBand', '--projects', ...kernel]);
await jest('tests of the whole', asRoot, ['--runInBand', '--config', e2eConfig]);
await jest('tests on other kernels', [], ['--runInBand', '--config', kernelsConfig]);

for (const each of troubles) console.log(`failed: ${each}`);
console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exitCode = sum.failed > 0 ? 1 : 0;
