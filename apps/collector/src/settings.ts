import { integerSetting, switchSetting } from '@netstatd/service';
import type { Setting } from '@netstatd/service';

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
  loopback: switchSetting({
    help: 'record connections and ports whose addresses are loopback',
    default: true,
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
