import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';

/**
 * A TCP and a UDP port of this process that a single client is told of: what comes in is that client's, and the port
 * says in every event whose it has to be.
 */
export class Door {
  /** Ports at the other end of the connections that were accepted, in their order. */
  readonly accepted: number[] = [];
  /** Ports that datagrams came from; a later sender may have the port of an earlier one. */
  readonly senders = new Set<number>();
  datagrams = 0;
  readonly #tcp: Server;
  readonly #udp: UdpSocket;

  private constructor() {
    this.#tcp = createServer((socket) => {
      this.accepted.push(socket.remotePort ?? 0);
      socket.on('error', () => undefined).resume();
    });
    this.#udp = createSocket('udp4', (_, { port }) => {
      this.senders.add(port);
      this.datagrams++;
    });
  }

  static async open(): Promise<Door> {
    const door = new Door();
    const listening = once(door.#tcp, 'listening');
    const bound = once(door.#udp, 'listening');
    door.#tcp.listen(0, '0.0.0.0');
    door.#udp.bind(0, '0.0.0.0');
    await Promise.all([listening, bound]);
    return door;
  }

  get tcp(): number {
    return (this.#tcp.address() as AddressInfo).port;
  }

  get udp(): number {
    return this.#udp.address().port;
  }

  close(): void {
    this.#tcp.close();
    this.#udp.close();
  }
}
