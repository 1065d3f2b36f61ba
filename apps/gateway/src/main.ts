import { connectBus } from '@netstatd/bus';
import { runService, StartError } from '@netstatd/service';
import { StatusPublisher } from '@netstatd/stream';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Gateway } from './gateway.ts';
import { registerMetrics } from './metrics.ts';
import { loadServices, type ServiceName } from './rest/service-names.ts';
import { gatewaySettings } from './settings.ts';

void runService({
  name: 'gateway',
  about: 'Serves the connections of one node, and of all nodes: page, REST and WebSocket.',
  settings: gatewaySettings,
  health: 'own',
  start: async ({ settings, log, metrics, ready, health, version, announce }) => {
    const { nodeName, natsUrl, nodePort, clusterPort, maxClients } = settings;
    const serviceNames = namesOfPorts(settings.servicesFile);
    const bus = await connectBus({ url: natsUrl, name: `gateway ${nodeName}`, log });
    const gateway = await Gateway.open({
      bus,
      log,
      health,
      version,
      nodeName,
      nodePort,
      clusterPort,
      maxClients,
      serviceNames,
      uiFolder: join(__dirname, 'ui'),
    });
    const checkReady = () => {
      ready.set('bus', bus.connected, 'the bus is away');
      const silence = gateway.nodes.silence(nodeName);
      ready.set('enricher', silence === undefined, `${nodeName}: ${silence ?? ''}`);
    };
    const checking = setInterval(checkReady, 500);
    checkReady();
    registerMetrics(metrics, {
      nodes: gateway.nodes,
      nodeName,
      counters: gateway.counters,
      bus,
    });
    const ports = { nodePort: gateway.nodePort, clusterPort: gateway.clusterPort };
    const status = new StatusPublisher({
      bus,
      node: nodeName,
      service: 'gateway',
      version,
      read: () => {
        const reasons = Object.values(ready.reasons());
        const { clientDropped, events: sentEvents, ...counters } = gateway.counters;
        return {
          ready: ready.ready,
          ...(reasons.length > 0 ? { reason: reasons.join('; ') } : {}),
          counters: {
            ...counters,
            sentEvents,
            'lost:client': clientDropped,
            'lost:bus': gateway.nodes.missedEvents,
          },
          info: ports,
        };
      },
    });
    announce({ node: ports.nodePort, cluster: ports.clusterPort });
    log.info(ports, 'listening');
    return {
      stop: async () => {
        clearInterval(checking);
        status.close();
        await gateway.close();
        await bus.close();
      },
    };
  },
});

/** Names from /etc/services, where there is one, and from the file that was set. */
function namesOfPorts(file: string | undefined): readonly ServiceName[] {
  const known = ['/etc/services'].filter((path) => existsSync(path));
  try {
    return loadServices(file === undefined ? known : [...known, file]).services;
  } catch (error) {
    throw new StartError(`names of ports: ${error instanceof Error ? error.message : ''}`);
  }
}
