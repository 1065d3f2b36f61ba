import { findObstacles } from './checks.ts';
import type { Machine } from './checks.ts';
import { upSettings } from './settings.ts';
import type { UpSettings } from './settings.ts';

const defaults = Object.fromEntries(
  Object.entries(upSettings).map(([name, setting]) => [name, setting.default]),
) as UpSettings;

const good: Machine = {
  platform: 'linux',
  capabilities: (1n << 41n) - 1n,
  exists: () => true,
  hasProgram: () => true,
  isFree: () => Promise.resolve(true),
};

const bpf = { source: 'bpf' };

const without = (...bits: bigint[]) =>
  bits.reduce((caps, bit) => caps & ~(1n << bit), good.capabilities);

test.each<[string, Partial<Machine>, Partial<UpSettings>, (string | RegExp)[]]>([
  ['a good machine', {}, {}, []],
  ['another system', { platform: 'darwin' }, {}, [/^netstatd needs Linux, this is darwin;/]],
  ['no rights', { capabilities: 0n }, bpf, [/^no rights to load BPF programs: run it as root/]],
  ['CAP_SYS_ADMIN in place of CAP_BPF', { capabilities: without(38n, 39n) }, bpf, []],
  ['CAP_BPF in place of CAP_SYS_ADMIN', { capabilities: without(21n) }, bpf, []],
  ['no CAP_NET_ADMIN', { capabilities: without(12n) }, bpf, [/^no rights/]],
  [
    'no BTF',
    { exists: (path) => !path.startsWith('/sys') },
    bpf,
    [/btf\/vmlinux is missing; mount/],
  ],
  [
    'no bus',
    { hasProgram: (name) => name !== 'nats-server' },
    {},
    [/^nats-server is not installed: apt-get install nats-server,/],
  ],
  [
    'a bus elsewhere',
    { hasProgram: (name) => name !== 'nats-server' },
    { natsUrl: 'nats://x' },
    [],
  ],
  ['no setpriv', { hasProgram: (name) => name !== 'setpriv' }, {}, [/install util-linux$/]],
  [
    'no build',
    { exists: (path) => !path.endsWith('.node') },
    bpf,
    ['not built: collector/capture.node missing in /dist; run npm start'],
  ],
  [
    'a taken port',
    { isFree: (port, host) => Promise.resolve(port !== 5280 || host !== '::') },
    {},
    [/^port 5280 is taken by another program: .* or choose another by --gateway-port$/],
  ],
  [
    'one port twice',
    {},
    { collectorPort: 7000, enricherPort: 7000 },
    ['--collector-port and --enricher-port are both 7000: give one of them another'],
  ],
  [
    'nothing that BPF needs, left to itself',
    { capabilities: 0n, exists: (path) => path.endsWith('.js') },
    {},
    [],
  ],
  ['nothing that BPF needs, from /proc', { capabilities: 0n }, { source: 'procfs' }, []],
  ['a recording', {}, { source: 'replay:/r' }, []],
  [
    'no recording',
    { exists: (path) => path !== '/r' },
    { source: 'replay:/r' },
    ['/r does not exist: name a file that --record has written'],
  ],
  ['a recording of a replay', {}, { source: 'replay:/r', record: '/s' }, [/^a replay cannot be/]],
  [
    'a file that is there',
    {},
    { record: '/r' },
    ['/r exists already: name a new file for --record'],
  ],
  ['a new file', { exists: (path) => path !== '/r' }, { record: '/r' }, []],
  ['any ports', { isFree: () => Promise.resolve(false) }, ports(0), []],
  [
    'several at once',
    { capabilities: 0n, hasProgram: () => false },
    { ...ports(0), ...bpf },
    [/^no rights/, /^nats-server/, /^setpriv/],
  ],
])('%s', async (_name, machine, settings, expected) => {
  const found = await findObstacles({ ...defaults, ...settings }, '/dist', { ...good, ...machine });
  expect(found).toHaveLength(expected.length);
  expected.forEach((text, i) => expect(found[i]).toMatch(text));
  found.forEach((line) => expect(line).not.toContain('\n'));
});

function ports(port: number): Partial<UpSettings> {
  return { gatewayPort: port, clusterPort: port, collectorPort: port, enricherPort: port };
}
