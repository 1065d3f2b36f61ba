import { pack, subjects, type Bus } from '@netstatd/bus';
import {
  CgroupIndex,
  hasLegacyCgroups,
  hostAddresses,
  parseMountinfo,
  ProcFs,
} from '@netstatd/procfs';
import { Backoff, type Log, type Readiness } from '@netstatd/service';
import { StatusBoard, StatusPublisher, StreamPublisher } from '@netstatd/stream';
import { Enricher } from './enricher.ts';
import { Host } from './host.ts';
import { snapshotRows } from './snapshot-rows.ts';

/** Shorter than anything that is waited for; a tick without work costs a microsecond. */
const TICK_MS = 20;
const HOST_REFRESH_MS = 10_000;
/** Without a collector the stream begins all the same after this, with what little is known. */
const BEGIN_WAIT_MS = 3000;

export interface EnricherServiceOptions {
  readonly bus: Bus;
  readonly node: string;
  readonly acceptWaitMs: number;
  readonly procRoot: string;
  readonly version: string;
  readonly log: Log;
  readonly ready: Readiness;
}

/**
 * Connects the enricher to the bus, the clock and the machine. Its stream begins when its state is whole: until
 * then nobody follows it, and a snapshot of half the state would have to be corrected connection by connection.
 */
export class EnricherService {
  readonly enricher: Enricher;
  readonly #options: EnricherServiceOptions;
  #publisher: StreamPublisher | undefined;
  readonly #startedAt = performance.now();
  readonly #board: StatusBoard;
  readonly #status: StatusPublisher;
  readonly #closers: (() => void)[];

  /** @throws RangeError on a bad node name */
  constructor(options: EnricherServiceOptions) {
    const { bus, node, log, version } = options;
    const { raw, resync } = subjects(node);
    this.#options = options;
    const procfs = new ProcFs(options.procRoot);
    this.enricher = new Enricher({
      emit: (row) => this.#publisher?.publish(row),
      requestResync: (reason) => {
        log.debug({ reason }, 'asking the collector for a snapshot');
        bus.publish(resync, pack({ reason }));
      },
      waits: new Backoff({ baseMs: 250, maxMs: 5000 }),
      host: new Host({ procfs, addresses: hostAddresses, version }),
      procfs,
      cgroups: new CgroupIndex(),
      legacyCgroups: hasLegacyCgroups(parseMountinfo(procfs.mountinfo())),
      acceptWaitMs: options.acceptWaitMs,
    });
    this.#board = new StatusBoard({ bus, node, log, onChange: () => this.#look() });
    this.#status = new StatusPublisher({
      bus,
      node,
      service: 'enricher',
      version,
      read: () => this.#read(),
    });
    const subscription = bus.subscribe(raw, (payload) =>
      this.enricher.read(payload, performance.now()),
    );
    const ticking = setInterval(() => this.#tick(performance.now()), TICK_MS);
    const looking = setInterval(() => this.#look(), 500);
    const refreshing = setInterval(() => this.enricher.host.refresh(), HOST_REFRESH_MS);
    this.#closers = [
      () => subscription.close(),
      () => clearInterval(ticking),
      () => clearInterval(looking),
      () => clearInterval(refreshing),
      () => this.#status.close(),
      () => this.#board.close(),
      () => this.#publisher?.close(),
    ];
    this.#look();
  }

  /** Everything counted, with the sizes of the tables, by name. */
  counters(): Record<string, number> {
    const { enricher } = this;
    const published = this.#publisher?.counters;
    const { lostOnBus } = enricher.counters;
    return {
      ...enricher.counters.toObject(),
      ...enricher.gauges(),
      events: published?.events ?? 0,
      droppedEvents: published?.droppedEvents ?? 0,
      oversizedRows: published?.oversizedRows ?? 0,
      snapshotsGiven: published?.snapshots ?? 0,
      'lost:bus': lostOnBus,
    };
  }

  /** Publishes what is still waiting, and ends. */
  close(): void {
    for (const close of this.#closers) close();
  }

  #tick(nowMs: number): void {
    const { enricher } = this;
    enricher.tick(nowMs);
    if (this.#publisher || !(enricher.synced || nowMs - this.#startedAt > BEGIN_WAIT_MS)) return;
    const { bus, node, log } = this.#options;
    this.#publisher = new StreamPublisher({
      ...{ bus, node, log },
      snapshot: (request) => snapshotRows(enricher, node, request, nowMicros()),
    });
    this.#look();
  }

  /** Looks after the collector's heartbeat, and says what it found. */
  #look(): void {
    const { bus, node, ready } = this.#options;
    const { host, synced } = this.enricher;
    const collector = this.#board.get(node, 'collector');
    ready.set('bus', bus.connected, 'the bus is away');
    const silence = collector ? 'the collector is silent' : 'nothing was heard of the collector';
    ready.set('raw', collector !== undefined && !collector.silent, silence);
    ready.set('state', synced, 'waiting for a snapshot of the collector');
    if (collector?.status.capture) host.captures(collector.status.capture);
    if (!this.#publisher || !bus.connected) return;
    const row = host.changedRow(nowMicros());
    if (row) this.#publisher.publish(row);
  }

  #read() {
    const { ready } = this.#options;
    const reasons = Object.values(ready.reasons());
    return {
      ready: ready.ready,
      ...(reasons.length > 0 ? { reason: reasons.join('; ') } : {}),
      counters: this.counters(),
      ...(this.#publisher ? { info: { epoch: this.#publisher.epoch } } : {}),
    };
  }
}

function nowMicros(): number {
  return Date.now() * 1000;
}
