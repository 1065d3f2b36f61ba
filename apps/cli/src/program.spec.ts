import { buildSync } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Processes are started here, and the machine may be busy.
jest.setTimeout(30_000);

const dir = mkdtempSync(join(tmpdir(), 'netstatd-cli-'));
const program = join(dir, 'dist', 'cli', 'main.js');

beforeAll(() => {
  mkdirSync(join(dir, 'dist', 'cli'), { recursive: true });
  buildSync({
    entryPoints: [join(__dirname, 'main.ts')],
    outfile: program,
    bundle: true,
    platform: 'node',
    target: 'node20',
    define: { NETSTATD_VERSION: '"1.2.3"' },
  });
});
afterAll(() => rmSync(dir, { recursive: true }));

function run(...args: string[]) {
  const env = { PATH: process.env.PATH, NODE_NAME: 'n1', LOG_LEVEL: '' };
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    env,
  });
  return { status, stdout, stderr };
}

test.each([
  [['frobnicate'], /unknown command 'frobnicate'/],
  [['watc'], /Did you mean watch\?/],
  [['watch', '--prot', 'TCP'], /unknown option '--prot'/],
  [
    ['watch', '--protocol', 'SCTP'],
    /^netstatd: --protocol: "SCTP" is not allowed; allowed: TCP or/,
  ],
  [['log', '--ip', '10.0.0.0/33'], /^netstatd: --ip: "10.0.0.0\/33" is not allowed/],
  [['log', '--exe', ''], /^netstatd: --exe: "" is not allowed/],
  [['watch', '--url', 'http://x'], /'http:\/\/x' is invalid. Allowed: ws:\/\/host:port/],
  [['top', '--group', 'colour'], /Allowed choices are process, program, pod, remote, connection/],
  [
    ['top', '--sort', 'pid', '--group=remote'],
    /^netstatd: --sort: "pid" .* allowed: remote, rate,/,
  ],
  [['top', '--type', 'port.closed'], /unknown option '--type'/],
  [['doctor', 'me'], /too many arguments/],
  [['status', '--url', 'x'], /Allowed: http:\/\/host:port/],
  [['up', '--log-level', 'loud'], /^netstatd: --log-level: "loud" is not allowed; allowed: trace,/],
  [
    ['up', '--gateway-prt=1'],
    /^netstatd: "--gateway-prt" is not a setting; the nearest is --gateway-port/,
  ],
  [['up', '--source', 'pcap'], /allowed: auto, bpf, procfs, replay:FILE\n$/],
  [['up', '--state-dir', 'here'], /--state-dir: "here" is not allowed; allowed: an absolute path/],
  [['up', 'now'], /^netstatd: unexpected argument "now"\n$/],
])('%j is a wrong usage', (args, message) => {
  const { status, stdout, stderr } = run(...args);
  expect(stderr).toMatch(message);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
});

test('help lists commands, flags with their allowed values, and exit codes', () => {
  const { status, stdout } = run('--help');
  expect(status).toBe(0);
  for (const text of [
    'up ',
    'watch ',
    'log ',
    'status ',
    'top ',
    'doctor ',
    'Exit codes: 0 done',
  ]) {
    expect(stdout).toContain(text);
  }
  const watch = run('watch', '--help').stdout;
  for (const text of ['--namespace', '--loopback', 'TCP or UDP', 'Exit codes']) {
    expect(watch).toContain(text);
  }
  expect(watch).not.toContain('--snapshot');
  expect(run('doctor', '--help').stdout).toContain('0 full capture is possible, 3 partial, 4 none');
  const up = run('up', '--help').stdout;
  for (const text of ['--gateway-port VALUE', 'env STATE_DIR', '--udp, --no-udp', 'Exit codes']) {
    expect(up).toContain(text);
  }
  expect(run('--version').stdout).toBe('1.2.3\n');
});

test('what is missing is said, one line each, and nothing stays behind', () => {
  const stateDir = join(dir, 'state');
  const { status, stderr } = run(
    'up',
    '--state-dir',
    stateDir,
    '--gateway-port=0',
    '--cluster-port=0',
  );
  expect(stderr).toMatch(/^(netstatd: [^\n]+\n)+$/);
  expect(stderr).toContain('not built: collector/main.js');
  expect(status).toBe(1);
  expect(run('up', '--state-dir', stateDir).stderr).not.toContain('running already');
});

test('no gateway is a failure that says what to do', () => {
  const { status, stderr } = run('status', '--url', 'http://127.0.0.1:1');
  expect(stderr).toMatch(
    /^netstatd: no status from http:\/\/127.0.0.1:1 \([^)]+\); start it by netstatd up, or name/,
  );
  expect(status).toBe(1);
});
