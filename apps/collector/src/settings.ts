import { choiceSetting, integerSetting, switchSetting, textSetting } from '@netstatd/service';
import type { Setting, SettingsOf } from '@netstatd/service';

const anySize = integerSetting({
  help: "size in bytes of the kernel's ring buffer: what fits while the collector is held up",
  default: 16 << 20,
  min: 64 << 10,
  max: 1 << 30,
});

const ringBytes: Setting<number> = {
  ...anySize,
  schema: anySize.schema.refine((bytes) => Number.isInteger(Math.log2(bytes))),
  allowed: 'a power of two from 65536 to 1073741824',
};

/** What can be set of the collector beyond the settings that every service has. */
export const collectorSettings = {
  source: textSetting({
    help: 'where records come from: the kernel, /proc, a recording; auto is the first that can be had',
    env: 'NETSTATD_SOURCE',
    default: 'auto',
    pattern: /^(auto|bpf|procfs|replay:[^\0]+)$/,
    allowed: 'auto, bpf, procfs, replay:FILE',
  }),
  record: textSetting<string | undefined>({
    help: 'a file that raw records are written to as they are published, for --source replay:FILE',
    env: 'NETSTATD_RECORD',
    default: undefined,
    allowed: 'a path',
  }),
  recordBytes: integerSetting({
    help: 'size in bytes that a recording may grow to',
    default: 1 << 30,
    min: 1 << 20,
    max: 1e12,
  }),
  replaySpeed: choiceSetting({
    help: 'whether a recording is played as it happened, or as fast as it can be read',
    default: 'original',
    choices: ['original', 'full'],
  }),
  pollMs: integerSetting({
    help: 'milliseconds between two looks into /proc, more when they are costly (source procfs)',
    default: 1000,
    min: 50,
    max: 60_000,
  }),
  procRoot: textSetting({
    help: 'where the /proc of the host is mounted',
    default: '/proc',
    pattern: /^\/[^\0]*$/,
    allowed: 'an absolute path',
  }),
  loopback: switchSetting({
    help: 'record connections and ports whose addresses are loopback',
    default: true,
  }),
  without: textSetting<string | undefined>({
    help: 'hooks to keep away from the kernel, as doctor names them, separated by commas',
    env: 'NETSTATD_WITHOUT',
    default: undefined,
    pattern: /^\w+(,\w+)*$/,
    allowed: 'names of hooks, separated by commas',
  }),
  udp: switchSetting({ help: 'record UDP flows and ports', default: true }),
  ringBytes,
  flowIdleSeconds: integerSetting({
    help: 'a UDP flow without a datagram for so many seconds is closed',
    default: 30,
    min: 1,
    max: 86_400,
  }),
  sweepMs: integerSetting({
    help: 'milliseconds between two looks for idle UDP flows',
    default: 1000,
    min: 50,
    max: 60_000,
  }),
};

export type CollectorSettings = SettingsOf<typeof collectorSettings>;
