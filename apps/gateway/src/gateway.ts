import type { Bus } from '@netstatd/bus';
import type { HealthHandlers, Log } from '@netstatd/service';
import { Listener } from './listener.ts';
import { createApp } from './rest/app.ts';
import { Documents } from './rest/documents.ts';
import type { ServiceName } from './rest/service-names.ts';
import { Conntrack, type ConntrackCounters } from './stream/conntrack.ts';
import { FrameClock } from './stream/outbox.ts';
import { Turns } from './stream/turns.ts';
import { Nodes, View } from './view.ts';

/** Snapshots under way at a time, for WebSocket clients and for lists each: they take memory. */
const snapshotsAtATime = 8;
const turnTimeoutMs = 5_000;

export interface GatewayOptions {
  readonly bus: Bus;
  readonly log: Log;
  readonly health: HealthHandlers;
  readonly version: string;
  readonly nodeName: string;
  readonly nodePort: number;
  readonly clusterPort: number;
  readonly maxClients: number;
  readonly serviceNames: readonly ServiceName[];
  readonly uiFolder: string;
  readonly heartbeatMs?: number;
}

/** The gateway: one set of nodes, shown by two listeners. */
export class Gateway {
  readonly nodes: Nodes;
  readonly counters: ConntrackCounters = {
    clientDropped: 0,
    clients: 0,
    events: 0,
    frames: 0,
    refused: 0,
    snapshotFailures: 0,
    snapshots: 0,
  };
  readonly #options: GatewayOptions;
  readonly #clock = new FrameClock();
  readonly #turns = new Turns(snapshotsAtATime, turnTimeoutMs);
  readonly #listTurns = new Turns(snapshotsAtATime, turnTimeoutMs);
  readonly #listeners: Listener[] = [];
  readonly #documents: Documents;

  private constructor(options: GatewayOptions) {
    this.#options = options;
    this.nodes = new Nodes(options);
    this.#documents = new Documents(options.version);
  }

  /** @throws StartError when a port cannot be had */
  static async open(options: GatewayOptions): Promise<Gateway> {
    const gateway = new Gateway(options);
    try {
      await gateway.#listen(options.nodePort, new View(gateway.nodes, options.nodeName));
      await gateway.#listen(options.clusterPort, new View(gateway.nodes));
    } catch (error) {
      await gateway.close();
      throw error;
    }
    return gateway;
  }

  get nodePort(): number {
    return this.#listeners[0]?.port ?? 0;
  }

  get clusterPort(): number {
    return this.#listeners[1]?.port ?? 0;
  }

  async close(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    this.nodes.close();
  }

  async #listen(port: number, view: View): Promise<void> {
    const { maxClients, serviceNames, health, uiFolder, log } = this.#options;
    const app = createApp({
      view,
      turns: this.#listTurns,
      serviceNames,
      health,
      uiFolder,
      log,
      documents: this.#documents,
    });
    const conntrack = new Conntrack({
      view,
      clock: this.#clock,
      counters: this.counters,
      turns: this.#turns,
      maxClients,
    });
    this.#listeners.push(await Listener.open(port, app, conntrack));
  }
}
