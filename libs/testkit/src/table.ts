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

/** A table's rows by key, and the keys that were told since the node's last host.info. */
class Rows<T extends { nodeName: string }> {
  readonly rows = new Map<string, T>();
  readonly #told = new Set<string>();

  set(key: string, row: T): void {
    this.rows.set(key, row);
    this.#told.add(key);
  }

  begin(): void {
    this.#told.clear();
  }

  /** The opening is complete: what it did not tell is gone. */
  complete(node: string): void {
    for (const [key, { nodeName }] of this.rows)
      if (nodeName === node && !this.#told.has(key)) this.rows.delete(key);
  }
}

/** Applies events in their order, as a client of one node does. */
export function tableOf(events: readonly NetstatdEvent[]): Table {
  const connections = new Rows<ConnectionEvent>();
  const ports = new Rows<PortEvent>();
  for (const event of events) {
    switch (event.type) {
      case 'host.info':
        connections.begin();
        ports.begin();
        break;
      case 'snapshot.complete':
        connections.complete(event.nodeName);
        ports.complete(event.nodeName);
        break;
      case 'port.listening':
        ports.set(portKey(event), event);
        break;
      case 'port.closed':
        ports.rows.delete(portKey(event));
        break;
      case 'connection.accepted':
        // Its connection may be gone by now.
        if (connections.rows.has(connectionKey(event)))
          connections.set(connectionKey(event), event);
        break;
      case 'connection.event':
        if (event.state === 'CLOSE') connections.rows.delete(connectionKey(event));
        else connections.set(connectionKey(event), event);
        break;
      default:
    }
  }
  return { connections: connections.rows, ports: ports.rows };
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
