import { integerSetting, portSetting, textSetting } from '@netstatd/service';

/** What can be set of the gateway beyond the settings that every service has. */
export const gatewaySettings = {
  nodePort: portSetting({
    help: 'port of the page, REST and WebSocket of this node, on all addresses',
    default: 5280,
  }),
  clusterPort: portSetting({
    help: 'port of the page, REST and WebSocket of all nodes, on all addresses',
    default: 6280,
  }),
  fanoutService: textSetting({
    help: 'headless service by which the nodes of a cluster are found; nodes on one bus need none',
    default: 'netstatd-headless',
    pattern: /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/,
    allowed: 'a DNS name',
  }),
  servicesFile: textSetting({
    help: 'names of ports beside /etc/services and over them, in the same form',
    default: undefined,
    allowed: 'the path of a file',
  }),
  maxClients: integerSetting({
    help: 'WebSocket clients at a time, on each port',
    default: 256,
    min: 1,
    max: 10_000,
  }),
};
