import { NatsServer } from '@netstatd/bus';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { places } from './places.ts';

export const RELAY_NODE = 'relay';
/** As the gateway: frames of what has gathered meanwhile. */
export const FRAME_MS = 50;

export interface RelayedEvent {
  /** Its bytes on the bus, on average. */
  busBytes: number;
  /** Its JSON. */
  text: string;
  perRecord: number;
}

/** The bare chain: a real collector and bus, and two processes in the place of enricher and gateway. */
export class Relay {
  readonly url: URL;
  readonly collectorPid: number;
  readonly #children: ChildProcess[];
  readonly #nats: NatsServer;
  readonly #stateDir: string;

  private constructor(url: URL, children: ChildProcess[], nats: NatsServer, stateDir: string) {
    this.url = url;
    this.collectorPid = children[0]?.pid ?? 0;
    this.#children = children;
    this.#nats = nats;
    this.#stateDir = stateDir;
  }

  static async start({ busBytes, text, perRecord }: RelayedEvent): Promise<Relay> {
    const stateDir = mkdtempSync(join(tmpdir(), 'netstatd-bench-'));
    const nats = await NatsServer.start({ stateDir });
    const env = { ...process.env, NATS_URL: nats.url };
    const options = { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] as ('ignore' | 'ipc')[] };
    const args = [String(busBytes), text, String(perRecord)];
    const bus = fork(places.relay, ['bus', ...args], options);
    const web = fork(places.relay, ['web', ...args], options);
    const [[address]] = await Promise.all([
      once(web, 'message') as Promise<[{ port: number }]>,
      once(bus, 'message'),
    ]);
    const flags = [`--node-name=${RELAY_NODE}`, '--health-port=0', '--log-level=error'];
    const collector = fork(places.collector, flags, options);
    await new Promise<void>((resolve) =>
      collector.on('message', (message: { ready?: boolean }) => message.ready && resolve()),
    );
    const url = new URL(`ws://127.0.0.1:${address.port}/?snapshot=false`);
    return new Relay(url, [collector, bus, web], nats, stateDir);
  }

  async stop(): Promise<void> {
    for (const child of this.#children) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    await this.#nats.stop();
    rmSync(this.#stateDir, { recursive: true, force: true });
  }
}
