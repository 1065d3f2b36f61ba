import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NatsServer } from '@netstatd/bus';
import { Backoff, netstatdVersion } from '@netstatd/service';
import { exitCodes } from '../exit.ts';
import { LogFile } from './log-file.ts';
import { shortLine } from './log-line.ts';
import { servicePlans } from './plans.ts';
import { ServiceProcess } from './service-process.ts';
import type { UpSettings } from './settings.ts';
import type { StateDir } from './state-dir.ts';
import type { Terminal } from './terminal.ts';

/** Deaths before ever having been ready that show that trying again is in vain. */
const MAX_FAILED_STARTS = 3;
/** How often a start that takes long says what it waits for. */
const WAITING_NOTE_MS = 10_000;

/** Everything of netstatd on one machine: the private bus and the services, as child processes. */
export class OneMachine {
  /** Whether everything has been ready at once. */
  complete = false;
  readonly #settings: UpSettings;
  readonly #stateDir: StateDir;
  readonly #terminal: Terminal;
  readonly #services: ServiceProcess[];
  readonly #startedAt = performance.now();
  readonly #said = new Set<string>();
  /** What was last said to be missing, by service. */
  readonly #missing = new Map<string, string>();
  #bus: NatsServer | undefined;
  #end: (code: number) => void = () => undefined;
  #stopping = false;

  constructor(settings: UpSettings, distDir: string, stateDir: StateDir, terminal: Terminal) {
    this.#settings = settings;
    this.#stateDir = stateDir;
    this.#terminal = terminal;
    this.#services = servicePlans(settings).map(({ name, args }) => {
      const log = new LogFile(join(stateDir.logs, `${name}.log`), (error) =>
        this.#say(name, `its log cannot be written: ${error.message}`),
      );
      return new ServiceProcess({
        name,
        program: join(distDir, name, 'main.js'),
        args,
        onLine: (line) => {
          log.write(line);
          this.#show(name, line);
        },
        onChange: () => this.#changed(),
        onDeath: ({ how, code, retryInMs }) => this.#died(name, how, code, retryInMs),
      });
    });
  }

  /** Port of this node's gateway, once it is known. */
  get gatewayPort(): number | undefined {
    return this.#service('gateway')?.ports.node;
  }

  /** Starts everything and resolves with an exit code when it is to end. */
  async run(): Promise<number> {
    const ended = new Promise<number>((resolve) => (this.#end = resolve));
    const { nodeName } = this.#settings;
    this.#terminal.line(
      `netstatd ${netstatdVersion} on node ${nodeName}, state and logs in ${this.#stateDir.path}`,
    );
    const url = this.#settings.natsUrl ?? (await this.#startBus());
    if (this.#stopping) return exitCodes.ok;
    this.#services.forEach((service) => service.start({ ...process.env, NATS_URL: url }));
    const waiting = setInterval(() => this.#sayWhatIsMissing(), WAITING_NOTE_MS);
    try {
      return await ended;
    } finally {
      clearInterval(waiting);
    }
  }

  /** Ends `run` with this exit code; what runs is ended by `stop`. */
  end(code: number): void {
    this.#stopping = true;
    this.#end(code);
  }

  /** Services first, then the bus they talk over. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#services.map((service) => service.stop()));
    await this.#bus?.stop();
  }

  /** Without asking. The private bus dies with this process. */
  kill(): void {
    this.#services.forEach((service) => service.kill());
  }

  async #startBus(): Promise<string> {
    const { natsServer: binary } = this.#settings;
    const bus = await NatsServer.start({ stateDir: this.#stateDir.path, binary });
    this.#bus = bus;
    this.#progress('bus');
    void this.#keepBus(bus);
    return bus.url;
  }

  async #keepBus(bus: NatsServer): Promise<void> {
    const backoff = new Backoff({ baseMs: 200, maxMs: 10_000 });
    for (;;) {
      await bus.exited;
      if (this.#isStopping()) return;
      const waitMs = backoff.next();
      this.#say('bus', `nats-server ended; starting it again in ${waitMs} ms`);
      await sleep(waitMs);
      if (this.#isStopping()) return;
      try {
        await bus.restart();
        backoff.reset();
        this.#say('bus', 'runs again');
        this.#changed();
      } catch (error) {
        this.#say('bus', (error as Error).message);
      }
    }
  }

  /** A call, since the compiler takes a field for unchanged across an await. */
  #isStopping(): boolean {
    return this.#stopping;
  }

  #changed(): void {
    if (this.#stopping) return;
    for (const service of this.#services) {
      if (service.everReady) this.#progress(service.name);
    }
    this.#writeEndpoints();
    if (this.complete || !this.#services.every(({ ready }) => ready)) return;
    this.complete = true;
    this.#sayWhereToLook();
  }

  #writeEndpoints(): void {
    try {
      this.#stateDir.writeEndpoints(this.#endpoints());
    } catch (error) {
      // A full disk is no reason to stop; who reads the file gets the one before.
      this.#say('up', `endpoints.json cannot be written: ${(error as Error).message}`);
    }
  }

  #died(name: string, how: string, code: number | null, retryInMs: number): void {
    const service = this.#service(name);
    if (code === exitCodes.usage) {
      this.#say(name, 'refuses its settings, see above');
      this.end(exitCodes.usage);
    } else if (service && !service.everReady && service.deaths >= MAX_FAILED_STARTS) {
      this.#say(name, `failed ${service.deaths} times to start (${how}), see above; giving up`);
      this.end(exitCodes.failed);
    } else {
      this.#say(name, `ended (${how}); starting it again in ${retryInMs} ms`);
    }
  }

  #show(name: string, line: string): void {
    const { important, text } = shortLine(line);
    // While everything stops, that others are gone is no news.
    if (this.#settings.verbose || (important && !this.#stopping)) this.#say(name, text);
  }

  #say(name: string, text: string): void {
    this.#terminal.line(`  ${name.padEnd(10)} ${text}`);
  }

  /** Says once that a part works. */
  #progress(name: string): void {
    if (this.#said.has(name)) return;
    this.#said.add(name);
    this.#say(name, `ready after ${((performance.now() - this.#startedAt) / 1000).toFixed(1)} s`);
  }

  #sayWhatIsMissing(): void {
    for (const { name, ready, reasons } of this.complete ? [] : this.#services) {
      const why = Object.entries(reasons).map(([part, reason]) => `${part}: ${reason}`);
      const text = ready ? '' : `not ready yet: ${why.join('; ')}`;
      // Once, until something else is missing.
      if (text !== '' && this.#missing.get(name) !== text) this.#say(name, text);
      this.#missing.set(name, text);
    }
  }

  #sayWhereToLook(): void {
    const port = this.gatewayPort ?? this.#settings.gatewayPort;
    const clusterPort = this.#service('gateway')?.ports.cluster ?? this.#settings.clusterPort;
    const watchUrl = port === 5280 ? '' : ` --url ws://127.0.0.1:${port}/conntrack`;
    const command = `node ${process.argv[1] ?? 'netstatd'}`;
    process.stdout.write(
      [
        `netstatd is ready: http://127.0.0.1:${port}/`,
        `  all nodes    http://127.0.0.1:${clusterPort}/`,
        `  connections  curl -s http://127.0.0.1:${port}/api/connections`,
        `  live         ${command} watch${watchUrl}`,
        `  stop         Ctrl+C`,
        '',
      ].join('\n'),
    );
  }

  #service(name: string): ServiceProcess | undefined {
    return this.#services.find((service) => service.name === name);
  }

  #endpoints() {
    const port = (service: string, name: string) => this.#service(service)?.ports[name];
    const pids = this.#services.map(({ name, pid }) => [name, pid] as const);
    return {
      gateway: port('gateway', 'node'),
      cluster: port('gateway', 'cluster'),
      collector: port('collector', 'health'),
      enricher: port('enricher', 'health'),
      nats: this.#settings.natsUrl ?? this.#bus?.url ?? '',
      pids: { up: process.pid, nats: this.#bus?.pid, ...Object.fromEntries(pids) },
    };
  }
}
