import { pack, subjects, type Bus } from '@netstatd/bus';
import { readRecordedHead } from '@netstatd/records';
import { Backoff, type Log, type Readiness } from '@netstatd/service';
import { StatusBoard, StatusPublisher, StreamPublisher } from '@netstatd/stream';
import { Enricher } from './enricher.ts';
import { recordedMachine, thisMachine } from './machine.ts';
import { RuntimeLink, type Follow } from './runtime-link.ts';
import { snapshotRows } from './snapshot-rows.ts';

/** A collector says something at least every 2 s: after so long without, a wrong one has gone. */
const FOREIGN_MEMORY_MS = 5_000;
/** Shorter than anything that is waited for; a tick without work costs a microsecond. */
const TICK_MS = 20;
/** Raw batches up to here have waited for company already: their events leave at once. */
const SMALL_BATCH_BYTES = 64 << 10;
/** The first pod of a machine brings an address of the machine with it. */
const HOST_REFRESH_MS = 2_000;
/** A recording is played when somebody asks, and not before; asking again changes nothing. */
const REPLAY_ASK_MS = 250;
/** Without a collector the stream begins all the same after this, with what little is known. */
const BEGIN_WAIT_MS = 3000;
/** A container runtime that is slow to list what it has does not keep the stream from beginning for longer. */
const RUNTIME_WAIT_MS = 2000;
const PODS_REFRESH_MS = 10_000;

export interface EnricherServiceOptions {
  readonly bus: Bus;
  readonly node: string;
  readonly acceptWaitMs: number;
  readonly procRoot: string;
  /** Records of a recording come, and nothing of this machine is to be told. */
  readonly replay: boolean;
  /** How long events wait for the description of their container, ms. */
  readonly containerWaitMs?: number;
  /** Follows the container runtimes; without it containers are known by their cgroups alone. */
  readonly follow?: Follow | undefined;
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
  /** Tells the player of a recording that this is another enricher than the one before. */
  readonly #reader = Date.now();
  /** Of the clock that `tick` goes by. */
  #startedAt: number;
  #playedMs = 0;
  readonly #runtimes: RuntimeLink | undefined;
  readonly #board: StatusBoard;
  /** Batches of the wrong kind of source at the last look, and when one was last seen to come. */
  readonly #foreign = { batches: 0, atMs: -Infinity };
  readonly #status: StatusPublisher;
  readonly #closers: (() => void)[];

  /** @throws RangeError on a bad node name */
  constructor(options: EnricherServiceOptions) {
    const { bus, node, log, version, replay, acceptWaitMs, containerWaitMs = 200 } = options;
    const { raw, resync } = subjects(node);
    this.#options = options;
    this.#startedAt = replay ? Infinity : performance.now();
    const ask = (reason: string) => bus.publish(resync, pack({ reason, reader: this.#reader }));
    // What is on this machine now says nothing about a recording.
    const follow = replay ? undefined : options.follow;
    this.#runtimes = follow && new RuntimeLink(follow, containerWaitMs);
    this.enricher = new Enricher({
      emit: (row) => this.#publisher?.publish(row),
      requestResync: (reason) => {
        log.debug({ reason }, 'asking the collector for a snapshot');
        // What was recorded is all there is.
        if (!replay) ask(reason);
      },
      waits: new Backoff({ baseMs: 250, maxMs: 5000 }),
      ...(replay ? recordedMachine(version) : thisMachine(options.procRoot, version)),
      ...{ acceptWaitMs, replay, node, containerWaitMs },
      ...(this.#runtimes && { runtime: this.#runtimes }),
    });
    this.#board = new StatusBoard({ bus, node, log, onChange: () => this.#look() });
    this.#status = new StatusPublisher({
      bus,
      node,
      service: 'enricher',
      version,
      read: () => this.#read(),
    });
    const subscription = bus.subscribe(raw, (payload) => {
      if (replay) this.#play(payload);
      else this.#follow(payload);
    });
    const ticking = replay
      ? setInterval(() => ask('replay'), REPLAY_ASK_MS)
      : setInterval(() => this.#tick(performance.now()), TICK_MS);
    const looking = setInterval(() => this.#look(), 500);
    const refreshing = replay
      ? undefined
      : setInterval(() => this.enricher.host.refresh(), HOST_REFRESH_MS);
    const refreshingPods = setInterval(() => this.enricher.refreshPods(), PODS_REFRESH_MS);
    this.#closers = [
      () => this.#runtimes?.close(),
      () => clearInterval(refreshingPods),
      () => subscription.close(),
      () => clearInterval(ticking),
      () => clearInterval(looking),
      () => clearInterval(refreshing),
      () => this.#status.close(),
      () => this.#board.close(),
      () => this.#publisher?.close(),
    ];
    this.#runtimes?.start(this.enricher);
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
      ...this.#runtimes?.counters(),
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

  /**
   * Reads a batch of a recording. The only clock is the recording's, so that what comes of it depends on nothing but
   * what was recorded: neither on when a timer fires, nor on when the collector says how it is.
   */
  #play(payload: Uint8Array): void {
    const head = readRecordedHead(payload);
    const nowMs = head?.replayed ? head.readNs / 1e6 : this.#playedMs;
    this.#startedAt = Math.min(this.#startedAt, nowMs);
    this.#playedMs = Math.max(this.#playedMs, nowMs);
    this.#tick(this.#playedMs);
    this.enricher.read(payload, this.#playedMs);
    this.#tick(this.#playedMs);
    this.#tellHost();
  }

  #follow(payload: Uint8Array): void {
    this.enricher.read(payload, performance.now());
    if (payload.length <= SMALL_BATCH_BYTES) this.#publisher?.flush();
  }

  #tick(nowMs: number): void {
    const { enricher } = this;
    enricher.tick(nowMs);
    if (this.#publisher || !this.#mayBegin(nowMs - this.#startedAt)) return;
    const { bus, node, log } = this.#options;
    this.#publisher = new StreamPublisher({
      ...{ bus, node, log },
      snapshot: (request) => snapshotRows(enricher, node, request, enricher.nowMicros),
    });
    this.#look();
    this.#tellHost();
  }

  #mayBegin(sinceMs: number): boolean {
    if (sinceMs > BEGIN_WAIT_MS) return true;
    const described = this.#runtimes?.settled !== false || sinceMs > RUNTIME_WAIT_MS;
    return this.enricher.synced && described;
  }

  /** Looks after the collector's heartbeat, and says what it found. */
  #look(): void {
    const { bus, node, ready, replay } = this.#options;
    const { host, synced, counters } = this.enricher;
    const collector = this.#board.get(node, 'collector');
    ready.set('bus', bus.connected, 'the bus is away');
    const silence = collector ? 'the collector is silent' : 'nothing was heard of the collector';
    ready.set('raw', collector !== undefined && !collector.silent, silence);
    ready.set('state', synced, 'waiting for a snapshot of the collector');
    const begun = this.#publisher !== undefined;
    ready.set('stream', begun, 'the stream of events has not begun');
    // Connections and processes are seen all the same, with the ids of their containers.
    const missed = this.#runtimes?.missed;
    ready.note('containers', missed && `containers lack names: ${missed}`);
    const strangers = replay
      ? 'records of this machine come in; start the enricher without --replay'
      : 'records of a recording come in; start the enricher with --replay';
    const foreign = this.#foreign;
    if (counters.foreignBatches !== foreign.batches) {
      foreign.batches = counters.foreignBatches;
      foreign.atMs = performance.now();
    }
    ready.set('source', performance.now() - foreign.atMs > FOREIGN_MEMORY_MS, strangers);
    if (replay) return;
    if (collector?.status.capture) host.captures(collector.status.capture);
    this.#tellHost();
  }

  #tellHost(): void {
    const { bus } = this.#options;
    const { host, nowMicros } = this.enricher;
    if (!this.#publisher || !bus.connected) return;
    const row = host.changedRow(nowMicros);
    if (row) this.#publisher.publish(row);
  }

  #read() {
    const { ready } = this.#options;
    const reasons = Object.values({ ...ready.reasons(), ...ready.notes() });
    const runtimes = this.#runtimes && { runtimes: this.#runtimes.name };
    return {
      ready: ready.ready,
      ...(reasons.length > 0 ? { reason: reasons.join('; ') } : {}),
      counters: this.counters(),
      ...(this.#publisher ? { info: { epoch: this.#publisher.epoch, ...runtimes } } : {}),
    };
  }
}
