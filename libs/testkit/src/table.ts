import type { ConnectionEvent, NetstatdEvent, PortEvent } from '@netstatd/events';

/** What a client that follows the events knows to be open. */
export interface Table {
  connections: Map<string, ConnectionEvent>;
  ports: Map<string, PortEvent>;
}

const connectionKey = (event: ConnectionEvent) =>
  event.protocol === 'TCP'
    ? `${event.nodeName} ${event.sockCookie}`
    : `${event.nodeName} ${event.sockCookie} ${event.remoteIP} ${event.remotePort}`;

const portKey = ({ nodeName, protocol, netns, ip, port }: PortEvent) =>
  [nodeName, protocol, netns, ip, port].join(' ');

/** Applies events in their order, as a client does: an opening replaces what was known of its node. */
export function tableOf(events: readonly NetstatdEvent[]): Table {
  const table: Table = { connections: new Map(), ports: new Map() };
  for (const event of events) {
    switch (event.type) {
      case 'host.info':
        for (const map of [table.connections, table.ports])
          for (const [key, { nodeName }] of map) if (nodeName === event.nodeName) map.delete(key);
        break;
      case 'port.listening':
        table.ports.set(portKey(event), event);
        break;
      case 'port.closed':
        table.ports.delete(portKey(event));
        break;
      case 'connection.accepted':
        // Its connection may be gone by now.
        if (table.connections.has(connectionKey(event)))
          table.connections.set(connectionKey(event), event);
        break;
      case 'connection.event':
        if (event.state === 'CLOSE') table.connections.delete(connectionKey(event));
        else table.connections.set(connectionKey(event), event);
        break;
      default:
    }
  }
  return table;
}

/** Events by connection, each connection's in the order they came. */
export function byConnection(events: readonly ConnectionEvent[]): ConnectionEvent[][] {
  const groups = new Map<string, ConnectionEvent[]>();
  for (const event of events) {
    const group = groups.get(connectionKey(event));
    if (group) group.push(event);
    else groups.set(connectionKey(event), [event]);
  }
  return [...groups.values()];
}
