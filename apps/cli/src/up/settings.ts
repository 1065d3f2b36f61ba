import { homedir } from 'node:os';
import { join } from 'node:path';
import {
  commonSettings,
  integerSetting,
  portSetting,
  switchSetting,
  textSetting,
} from '@netstatd/service';
import type { SettingsOf } from '@netstatd/service';

/** Root's state is gone with the next boot; a user's is where that user's programs keep theirs. */
function defaultStateDir(): string {
  if (process.getuid?.() === 0) return '/run/netstatd';
  const runtime = process.env.XDG_RUNTIME_DIR;
  return runtime ? join(runtime, 'netstatd') : join(homedir(), '.local', 'state', 'netstatd');
}

/** The settings of `netstatd up`: those of the services that one machine needs to set. */
export const upSettings = {
  nodeName: commonSettings.nodeName,
  logLevel: commonSettings.logLevel,
  natsUrl: textSetting<string | undefined>({
    help: 'a bus that runs already; without it a private one is started',
    default: undefined,
    pattern: /^(nats|tls):\/\/[^\s,]+$/,
    allowed: 'nats://host:port or tls://host:port',
    secret: true,
  }),
  natsServer: textSetting({
    help: 'the program of the private bus',
    default: 'nats-server',
    allowed: 'a path, or a name to be found in PATH',
  }),
  stateDir: textSetting({
    help: 'where logs, endpoints.json and the private bus are kept',
    default: defaultStateDir(),
    pattern: /^\/[^\0]*$/,
    allowed: 'an absolute path',
  }),
  source: textSetting({
    help: 'where connections come from: the kernel, /proc, a recording; auto is the first that can be had',
    env: 'NETSTATD_SOURCE',
    default: 'auto',
    pattern: /^(auto|bpf|procfs|replay:[^\0]+)$/,
    allowed: 'auto, bpf, procfs, replay:FILE',
  }),
  record: textSetting<string | undefined>({
    help: 'a new file that raw records are written to, for --source replay:FILE',
    env: 'NETSTATD_RECORD',
    default: undefined,
    allowed: 'a path',
  }),
  verbose: switchSetting({
    help: 'show every log line of the services',
    env: 'NETSTATD_VERBOSE',
    default: false,
  }),
  gatewayPort: portSetting({ help: 'page, REST and WebSocket of this node', default: 5280 }),
  clusterPort: portSetting({ help: 'the same of all nodes', default: 6280 }),
  collectorPort: portSetting({ help: 'health and metrics of the collector', default: 5281 }),
  enricherPort: portSetting({ help: 'health and metrics of the enricher', default: 5282 }),
  loopback: switchSetting({ help: 'see connections within this machine', default: true }),
  udp: switchSetting({ help: 'see UDP', default: true }),
  without: textSetting<string | undefined>({
    help: 'hooks to keep away from the kernel, as doctor names them, separated by commas',
    env: 'NETSTATD_WITHOUT',
    default: undefined,
    pattern: /^\w+(,\w+)*$/,
    allowed: 'names of hooks, separated by commas',
  }),
  containerdSocket: textSetting<string | undefined>({
    help: 'socket of the containerd to follow, and no other runtime; without it, all that are found',
    default: undefined,
    pattern: /^(unix:\/\/)?\/[^\0]*$/,
    allowed: 'an absolute path, or unix:// before one',
  }),
  ringBytes: integerSetting({
    help: 'size of the kernel ring buffer in bytes, a power of two',
    default: 16 << 20,
    min: 65_536,
    max: 1 << 30,
  }),
};

export type UpSettings = SettingsOf<typeof upSettings>;

/** The recording that is to be played, if that is the source. */
export function replayedFile(source: string): string | undefined {
  return /^replay:(.*)$/s.exec(source)?.[1];
}
