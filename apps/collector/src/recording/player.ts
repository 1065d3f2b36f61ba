import { subjects, unpack, type Bus, type Subscription } from '@netstatd/bus';
import { BATCH_HEAD_BYTES, markReplayed, silenceAfter } from '@netstatd/records';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Recording } from './recording.ts';

/** A recorded silence is no longer than this: more comes from a recording that was gone on with. */
const SILENCE_MAX_MS = 5000;
/** After so many bytes it is waited until the bus has taken them. */
const FLUSH_BYTES = 256 << 10;
const BUS_WAIT_MS = 200;
/** At the end so much time passes, for all that only time brings about. */
const END_SILENCE_NS = 30_000_000_000n;

export interface PlayerOptions {
  readonly bus: Bus;
  readonly nodeName: string;
  readonly recording: Recording;
  /** As fast as the bus takes it, instead of as it happened. */
  readonly fast: boolean;
  readonly onState: (state: PlayerState) => void;
}

export type PlayerState = 'waiting' | 'playing' | 'ended';

/**
 * Plays a recording onto the bus: its batches as they were, but for a new epoch and the mark that they are played.
 * It begins when a reader asks for what is open, and again from the start for a reader that was started anew.
 */
export class Player {
  readonly #options: PlayerOptions;
  readonly #subject: string;
  readonly #requests: Subscription;
  readonly #counters = { batches: 0, records: 0, published: 0, droppedBatches: 0, plays: 0 };
  #reader: unknown;
  #playing: AbortController | undefined;

  constructor(options: PlayerOptions) {
    const { raw, resync } = subjects(options.nodeName);
    this.#options = options;
    this.#subject = raw;
    options.onState('waiting');
    this.#requests = options.bus.subscribe(resync, (payload) => this.#asked(payload));
  }

  counters(): Record<string, number> {
    return { ...this.#counters };
  }

  close(): void {
    this.#requests.close();
    this.#playing?.abort();
    this.#options.recording.close();
  }

  #asked(payload: Uint8Array): void {
    const reader = readerOf(payload);
    if (this.#playing !== undefined && reader === this.#reader) return;
    this.#reader = reader;
    this.#playing?.abort();
    const playing = new AbortController();
    this.#playing = playing;
    this.#counters.plays++;
    this.#options.onState('playing');
    void this.#play(playing.signal).then((done) => {
      if (done) this.#options.onState('ended');
    });
  }

  /** @returns whether it came to the end */
  async #play(signal: AbortSignal): Promise<boolean> {
    const { bus, recording, fast } = this.#options;
    const epochNow = BigInt(Date.now()) * 1_000_000n;
    let epochThen: bigint | undefined;
    let last: Buffer | undefined;
    let lastNs: number | undefined;
    let dueMs = performance.now();
    let unflushed = 0;
    for (const { head, batch } of recording.batches()) {
      epochThen ??= head.epoch;
      // A recording that was gone on with has several epochs: they stay different ones.
      markReplayed(batch, BigInt.asUintN(64, epochNow + head.epoch - epochThen));
      const passedMs = (head.readNs - (lastNs ?? head.readNs)) / 1e6;
      if (!fast) dueMs += Math.min(Math.max(passedMs, 0), SILENCE_MAX_MS);
      const waitMs = dueMs - performance.now();
      if (!fast && waitMs > 1) await sleep(waitMs);
      if (unflushed > FLUSH_BYTES) {
        unflushed = 0;
        await bus.flush().catch(() => undefined);
      }
      dueMs += await this.#waitForBus(signal);
      if (signal.aborted) return false;
      lastNs = head.readNs;
      last = batch;
      unflushed += batch.byteLength;
      this.#publish(batch, head.records);
    }
    if (last !== undefined) {
      this.#publish(silenceAfter(last.subarray(0, BATCH_HEAD_BYTES), END_SILENCE_NS), 0);
    }
    return true;
  }

  /** Unlike what happens, what is played can wait. @returns how long it has, in ms */
  async #waitForBus(signal: AbortSignal): Promise<number> {
    const from = performance.now();
    while (!this.#options.bus.connected && !signal.aborted) await sleep(BUS_WAIT_MS);
    return performance.now() - from;
  }

  #publish(batch: Uint8Array, records: number): void {
    const counters = this.#counters;
    counters.batches++;
    counters.records += records;
    if (this.#options.bus.publish(this.#subject, batch)) counters.published++;
    else counters.droppedBatches++;
  }
}

/** Who asks: a reader that says nothing of itself is always the same one. */
function readerOf(payload: Uint8Array): unknown {
  try {
    const request = unpack(payload) as { reader?: unknown } | null;
    return request?.reader ?? undefined;
  } catch {
    return undefined;
  }
}
