import { connectBus } from '@netstatd/bus';
import type { Bus } from '@netstatd/bus';
import { Capture, CaptureError } from '@netstatd/capture';
import { LogOnce, runService, StartError } from '@netstatd/service';
import { StatusPublisher } from '@netstatd/stream';
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { Collector } from './collector.ts';
import { registerMetrics } from './metrics.ts';
import { probe } from './probe.ts';
import { collectorSettings } from './settings.ts';

/** The addon and the object lie beside the bundle. */
const files = {
  addonPath: join(__dirname, 'capture.node'),
  objectPath: join(__dirname, 'netstatd.bpf.o'),
};

/** Without a bus by then, the collector starts and readers ask for their snapshot later. */
const FIRST_CONNECT_MS = 2000;

// Asked by `netstatd doctor`, in a process of its own: what a kernel makes of it may be a crash.
if (process.argv.includes('--probe')) {
  writeSync(1, `${JSON.stringify(probe(files))}\n`);
  process.exit(0);
}

void runService({
  name: 'collector',
  about: 'Reads what the kernel tells about sockets and processes, and puts it on the bus.',
  settings: collectorSettings,
  health: 5281,
  start: async ({ settings, log, metrics, ready, version }) => {
    const { nodeName, natsUrl, sweepMs } = settings;
    const capture = openCapture(settings);
    for (const { name, section, state, reason } of Object.values(capture.hooks)) {
      if (state === 'failed') log.warn({ name, section, reason }, 'a hook was not attached');
      else log.debug({ name, section, state, reason }, 'hook');
    }
    const bus = await connectBus({ url: natsUrl, name: `collector ${nodeName}`, log });
    const checkBus = () => ready.set('bus', bus.connected, 'the bus is away');
    checkBus();
    bus.onChange(checkBus);

    await connected(bus, FIRST_CONNECT_MS);
    const failures = new LogOnce(log);
    const collector = new Collector({
      bus,
      capture,
      nodeName,
      sweepMs,
      onState: (part, reason) => {
        ready.set(part, reason === undefined, reason);
        if (reason === undefined) failures.over(part, `${part}: works again`);
        else failures.warn(part, { reason }, `${part}: failed`);
      },
    });
    registerMetrics(metrics, collector, bus);
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
          counters: collector.counters(),
          capture: capture.captureKinds(),
        };
      },
    });
    return {
      stop: async () => {
        status.close();
        collector.close();
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

function openCapture(settings: {
  loopback: boolean;
  udp: boolean;
  ringBytes: number;
  flowIdleSeconds: number;
}): Capture {
  const { loopback, udp, ringBytes, flowIdleSeconds } = settings;
  try {
    return Capture.open({
      ...files,
      options: { loopback, udp, ringBytes, flowIdleMs: flowIdleSeconds * 1000 },
    });
  } catch (error) {
    throw error instanceof CaptureError ? new StartError(error.message) : error;
  }
}
