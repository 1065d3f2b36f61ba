import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { UpSettings } from './settings.ts';

const PORTS = ['gatewayPort', 'clusterPort', 'collectorPort', 'enricherPort'] as const;

/** The ports of `up`, free ones in place of 0: chosen here, so that a restarted service keeps its own. */
export async function choosePorts(
  settings: UpSettings,
): Promise<Pick<UpSettings, (typeof PORTS)[number]>> {
  // All are held until the last is chosen, so that no port is given twice.
  const servers = await Promise.all(
    PORTS.map(async () => {
      const server = createServer().listen(0);
      await once(server, 'listening');
      return server;
    }),
  );
  const free = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  const chosen = PORTS.map((name, i) => [name, settings[name] || free[i]] as const);
  return Object.fromEntries(chosen) as Pick<UpSettings, (typeof PORTS)[number]>;
}
