import type { Bus, Subscription } from '@netstatd/bus';
import { subjects } from '@netstatd/bus';
import type { Chunk } from '@netstatd/capture';
import { DropSlot, SocketKind } from '@netstatd/records';
import { lostRecords, RawPublisher } from './raw-publisher.ts';
import { Snapshots } from './snapshots.ts';
import type { LiveSource } from './source.ts';

/** A stream that is silent so long gets an empty batch. */
const SILENCE_MS = 2000;

export interface CollectorParts {
  readonly bus: Bus;
  readonly source: LiveSource;
  readonly nodeName: string;
  /** Between two looks for idle UDP flows. */
  readonly sweepMs: number;
  /** Records to precede each snapshot, for a recording. */
  readonly facts?: () => Chunk[];
  /** Is given each batch. */
  readonly onBatch?: (batch: Uint8Array) => void;
  /** A part of the work that cannot be done, or can again (no reason). */
  readonly onState: (part: 'snapshot' | 'flows', reason?: string) => void;
}

/**
 * Moves the records of a source onto the bus: first what is open, then all that happens, and what is
 * open once more whenever a reader asks for it.
 */
export class Collector {
  readonly #parts: CollectorParts;
  readonly #raw: RawPublisher;
  readonly #snapshots: Snapshots;
  readonly #resync: Subscription;
  readonly #timers: NodeJS.Timeout[];
  readonly #ignoreBus: () => void;
  #batchesAtSilenceCheck = 0;
  /** UDP flows at the last sweep. */
  #flows = 0;

  constructor(parts: CollectorParts) {
    const { bus, source, nodeName, sweepMs, onBatch } = parts;
    const { raw, resync } = subjects(nodeName);
    this.#parts = parts;
    this.#raw = new RawPublisher(bus, source, raw, onBatch);
    this.#snapshots = new Snapshots(() => this.#snapshot());
    this.#snapshots.take();
    source.start((buffer, payloadBytes, records) =>
      this.#raw.publish(buffer, payloadBytes, records),
    );
    this.#resync = bus.subscribe(resync, () => this.#snapshots.request());
    this.#ignoreBus = bus.onChange((connected) => {
      if (connected) this.#raw.publishEmpty();
    });
    this.#sweep();
    this.#timers = [
      setInterval(() => this.#sweep(), sweepMs),
      setInterval(() => this.#breakSilence(), SILENCE_MS),
    ];
  }

  /** Everything seen and everything lost, by name. */
  counters(): Record<string, number> {
    const { lost, ...others } = this.#parts.source.stats();
    const byKind = Object.entries(SocketKind).flatMap(([name, kind]) => {
      const count = lost[kind] ?? 0;
      return count > 0 ? [[`lost:kernel:${name}`, count] as const] : [];
    });
    return {
      ...(others as Record<string, number>),
      ...this.#raw.counters,
      snapshots: this.#snapshots.count,
      resyncRequests: this.#snapshots.requests,
      flows: this.#flows,
      'lost:kernel': lostRecords(lost),
      ...Object.fromEntries(byKind),
      flowsUntracked: lost[DropSlot.FLOWS_UNTRACKED] ?? 0,
    };
  }

  /** Lets go of the source; what has been read by then is published. */
  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#snapshots.close();
    this.#resync.close();
    this.#ignoreBus();
    this.#parts.source.close();
  }

  #snapshot(): void {
    const { source, facts } = this.#parts;
    this.#try('snapshot', () => {
      for (const { buffer, payloadBytes, records } of [
        ...(facts?.() ?? []),
        ...source.snapshot(),
      ]) {
        this.#raw.publish(buffer, payloadBytes, records);
      }
    });
  }

  #sweep(): void {
    this.#try('flows', () => (this.#flows = this.#parts.source.sweepFlows()));
  }

  #breakSilence(): void {
    const { batches } = this.#raw.counters;
    if (batches === this.#batchesAtSilenceCheck) this.#raw.publishEmpty();
    this.#batchesAtSilenceCheck = this.#raw.counters.batches;
  }

  /** What fails here fails for want of memory, and may work the next time. */
  #try(part: 'snapshot' | 'flows', work: () => void): void {
    try {
      work();
      this.#parts.onState(part);
    } catch (error) {
      this.#parts.onState(part, error instanceof Error ? error.message : String(error));
    }
  }
}
