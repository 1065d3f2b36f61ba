import { connectBus } from '@netstatd/bus';
import type { Bus } from '@netstatd/bus';
import { runService } from '@netstatd/service';
import { StatusPublisher } from '@netstatd/stream';
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { registerMetrics } from './metrics.ts';
import { withoutHooks } from './open-source.ts';
import { probe } from './probe.ts';
import { collectorSettings } from './settings.ts';
import { openSource } from './source-run.ts';

/** The addon and the object lie beside the bundle. */
const files = {
  addonPath: join(__dirname, 'capture.node'),
  objectPath: join(__dirname, 'netstatd.bpf.o'),
};

/** Without a bus by then, the collector starts and readers ask for their snapshot later. */
const FIRST_CONNECT_MS = 2000;

// Asked by `netstatd doctor`, in a process of its own: what a kernel makes of it may be a crash.
if (process.argv.includes('--probe')) {
  writeSync(
    1,
    `${JSON.stringify(probe({ ...files, options: withoutHooks(process.env.NETSTATD_WITHOUT) }))}\n`,
  );
  process.exit(0);
}

void runService({
  name: 'collector',
  about: 'Reads what the kernel tells about sockets and processes, and puts it on the bus.',
  settings: collectorSettings,
  health: 5281,
  start: async (context) => {
    const { settings, log, metrics, ready, version } = context;
    const { nodeName, natsUrl } = settings;
    const source = openSource(context, files);
    const bus = await connectBus({ url: natsUrl, name: `collector ${nodeName}`, log });
    const checkBus = () => ready.set('bus', bus.connected, 'the bus is away');
    checkBus();
    bus.onChange(checkBus);

    await connected(bus, FIRST_CONNECT_MS);
    const run = source.begin(bus);
    registerMetrics(metrics, () => run.counters(), bus);
    const status = new StatusPublisher({
      bus,
      node: nodeName,
      service: 'collector',
      version,
      read: () => {
        const reasons = Object.values(ready.reasons());
        return {
          ready: ready.ready,
          ...(reasons.length > 0 ? { reason: reasons.join('; ') } : {}),
          counters: run.counters(),
          capture: run.capture,
        };
      },
    });
    return {
      stop: async () => {
        status.close();
        await run.close();
        await bus.close();
      },
    };
  },
});

/** Waits for the bus, which the first snapshot would otherwise miss; what happens stays in the ring. */
function connected(bus: Bus, timeoutMs: number): Promise<void> {
  if (bus.connected) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      ignore();
      resolve();
    };
    const timer = setTimeout(done, timeoutMs);
    const ignore = bus.onChange(done);
  });
}
