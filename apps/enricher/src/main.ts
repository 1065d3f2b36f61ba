import { connectBus } from '@netstatd/bus';
import { ContainerSources, type RuntimeEvents } from '@netstatd/containers';
import { runService } from '@netstatd/service';
import { registerMetrics } from './metrics.ts';
import { EnricherService } from './service.ts';
import { enricherSettings } from './settings.ts';

void runService({
  name: 'enricher',
  about: 'Keeps the state of the node and turns raw records into events.',
  settings: enricherSettings,
  health: 5282,
  start: async ({ settings, log, metrics, ready, version }) => {
    const { nodeName, natsUrl, acceptWaitMs, procRoot, replay, containerWaitMs } = settings;
    const { containerdSocket, hostRoot } = settings;
    const follow = (events: RuntimeEvents) =>
      new ContainerSources({
        ...{ events, log, hostRoot },
        ...(containerdSocket !== undefined && { containerdSocket }),
      });
    const bus = await connectBus({ url: natsUrl, name: `enricher ${nodeName}`, log });
    const service = new EnricherService({
      ...{ bus, node: nodeName, acceptWaitMs, procRoot, replay, version, log, ready },
      ...{ containerWaitMs, follow },
    });
    registerMetrics(metrics, service);
    return {
      stop: async () => {
        service.close();
        await bus.close();
      },
    };
  },
});
