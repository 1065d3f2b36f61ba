import { pack, subjects } from '@netstatd/bus';
import type { ServiceStatus } from '@netstatd/events';
import type { StreamBus } from './bus.ts';
import { PROTOCOL_VERSION } from './message.ts';

/** Time between two heartbeats, in milliseconds. */
export const HEARTBEAT_MS = 2000;

/** What changes from heartbeat to heartbeat. */
export type OwnStatus = Pick<ServiceStatus, 'counters' | 'ready'> &
  Partial<Pick<ServiceStatus, 'capture' | 'info' | 'reason'>>;

export interface StatusPublisherOptions {
  readonly bus: StreamBus;
  /** The node's name. */
  readonly node: string;
  readonly service: string;
  readonly version: string;
  /** Called for each heartbeat. */
  readonly read: () => OwnStatus;
  readonly intervalMs?: number;
}

/** Publishes a service's heartbeat: at once when the bus is there, then every 2 s. */
export class StatusPublisher {
  readonly #options: StatusPublisherOptions;
  readonly #subject: string;
  readonly #startedAt = Date.now();
  readonly #timer: NodeJS.Timeout;
  readonly #ignoreBus: () => void;

  /** Throws a RangeError on a bad node name. */
  constructor(options: StatusPublisherOptions) {
    this.#options = options;
    this.#subject = subjects(options.node).status;
    this.#timer = setInterval(() => this.publish(), options.intervalMs ?? HEARTBEAT_MS);
    this.#ignoreBus = options.bus.onChange((connected) => {
      if (connected) this.publish();
    });
    if (options.bus.connected) this.publish();
  }

  /** A heartbeat out of turn, for a change worth telling at once. */
  publish(): void {
    const { bus, node, service, version, read } = this.#options;
    if (!bus.connected) return;
    const status: ServiceStatus = {
      v: PROTOCOL_VERSION,
      node,
      service,
      version,
      pid: process.pid,
      startedAt: this.#startedAt,
      ...read(),
    };
    bus.publish(this.#subject, pack(status));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#ignoreBus();
  }
}
