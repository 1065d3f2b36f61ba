import { printable } from '@netstatd/events';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, isAbsolute, join } from 'node:path';
import { replayedFile, type UpSettings } from './settings.ts';

/** What the checks look at; a test looks at another machine. */
export interface Machine {
  platform: string;
  /** Effective capabilities as in /proc/self/status. */
  capabilities: bigint;
  exists: (path: string) => boolean;
  /** Whether a program can be run, by path or by name. */
  hasProgram: (name: string) => boolean;
  /** Whether `port` can be listened on, on every address or on 127.0.0.1 only. */
  isFree: (port: number, host: '::' | '127.0.0.1') => Promise<boolean>;
}

/** Capability numbers of linux/capability.h. */
const CAP = { netAdmin: 12n, sysPtrace: 19n, sysAdmin: 21n, perfmon: 38n, bpf: 39n };

/** The files of a build, below dist/, and those that only the source bpf needs. */
const BUILT = ['collector/main.js', 'enricher/main.js', 'gateway/main.js'];
const BUILT_FOR_BPF = ['collector/capture.node', 'collector/netstatd.bpf.o'];

/** Everything that would keep netstatd from starting, one line each that says what to do. */
export async function findObstacles(
  settings: UpSettings,
  distDir: string,
  machine: Machine = thisMachine(),
): Promise<string[]> {
  if (machine.platform !== 'linux') {
    return [`netstatd needs Linux, this is ${machine.platform}; run it in a Linux machine`];
  }
  // Left to itself, the collector goes to /proc where it cannot have BPF, and says why.
  const obstacles = settings.source === 'bpf' ? bpfObstacles(machine) : [];
  if (settings.natsUrl === undefined && !machine.hasProgram(settings.natsServer)) {
    obstacles.push(
      `${settings.natsServer} is not installed: apt-get install nats-server, or name one by ` +
        '--nats-server, or a running bus by --nats-url',
    );
  }
  if (!machine.hasProgram('setpriv')) {
    obstacles.push('setpriv is not installed: apt-get install util-linux');
  }
  const built = settings.source === 'bpf' ? [...BUILT, ...BUILT_FOR_BPF] : BUILT;
  const missing = built.filter((file) => !machine.exists(join(distDir, file)));
  if (missing.length > 0) {
    obstacles.push(`not built: ${missing.join(', ')} missing in ${distDir}; run npm start`);
  }
  return [
    ...obstacles,
    ...fileObstacles(settings, machine),
    ...(await takenPorts(settings, machine)),
  ];
}

function bpfObstacles(machine: Machine): string[] {
  const obstacles: string[] = [];
  if (!mayUseBpf(machine.capabilities)) {
    obstacles.push(
      'no rights to load BPF programs: run it as root (sudo), or with CAP_BPF, CAP_PERFMON, ' +
        'CAP_NET_ADMIN and CAP_SYS_PTRACE',
    );
  }
  if (!machine.exists('/sys/kernel/btf/vmlinux')) {
    obstacles.push(
      'the kernel does not describe its types: /sys/kernel/btf/vmlinux is missing; mount /sys, ' +
        'or boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (those of distributions are)',
    );
  }
  return obstacles;
}

function fileObstacles({ source, record }: UpSettings, machine: Machine): string[] {
  const played = replayedFile(source);
  if (played !== undefined && record !== undefined) {
    return ['a replay cannot be recorded: leave out --record'];
  }
  if (played !== undefined && !machine.exists(played)) {
    return [`${printable(played)} does not exist: name a file that --record has written`];
  }
  if (record !== undefined && machine.exists(record)) {
    return [`${printable(record)} exists already: name a new file for --record`];
  }
  return [];
}

function mayUseBpf(capabilities: bigint): boolean {
  const has = (...bits: bigint[]) => bits.every((bit) => (capabilities >> bit) & 1n);
  return (has(CAP.sysAdmin) || has(CAP.bpf, CAP.perfmon)) && has(CAP.netAdmin, CAP.sysPtrace);
}

async function takenPorts(settings: UpSettings, machine: Machine): Promise<string[]> {
  const wanted = [
    ['--gateway-port', settings.gatewayPort, '::'],
    ['--cluster-port', settings.clusterPort, '::'],
    ['--collector-port', settings.collectorPort, '127.0.0.1'],
    ['--enricher-port', settings.enricherPort, '127.0.0.1'],
  ] as const;
  const obstacles: string[] = [];
  const seen = new Map<number, string>();
  for (const [flag, port, host] of wanted) {
    if (port === 0) continue;
    const twin = seen.get(port);
    seen.set(port, flag);
    if (twin) obstacles.push(`${twin} and ${flag} are both ${port}: give one of them another`);
    else if (!(await machine.isFree(port, host))) {
      obstacles.push(
        `port ${port} is taken by another program: stop that (ss -ltnp 'sport = :${port}' ` +
          `shows it), or choose another by ${flag}`,
      );
    }
  }
  return obstacles;
}

/** The machine that this process runs on. */
export function thisMachine(): Machine {
  const file = '/proc/self/status';
  const status = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return {
    platform: process.platform,
    capabilities: BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`),
    exists: existsSync,
    hasProgram,
    isFree,
  };
}

function hasProgram(name: string): boolean {
  const directories = (process.env.PATH ?? '').split(delimiter);
  const paths = isAbsolute(name)
    ? [name]
    : [...directories, '/usr/sbin', '/usr/local/sbin', '/sbin'].map((dir) => join(dir, name));
  return paths.some((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      // Without IPv6 there is no `::`; the gateway then listens on IPv4 alone.
      resolve(
        error.code === 'EAFNOSUPPORT' || error.code === 'EADDRNOTAVAIL'
          ? isFree(port, '0.0.0.0')
          : false,
      ),
    );
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
