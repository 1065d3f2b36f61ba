import type { Filter } from '@netstatd/events';
import type { WebSocket } from 'ws';
import type { SharedBatch, SharedText } from './shared-batch.ts';

/** Bytes that may wait for all clients of the gateway together, as long as each gets its least. */
const allClientsBytes = 256 << 20;
/** Bounds of one client's part of them: the most is half a second of the fastest stream there is. */
const mostBytes = 64 << 20;
const leastBytes = 8 << 20;
/** At or below this many, a client counts as caught up, and gets the next page of a snapshot. */
export const lowMarkBytes = 512 << 10;
/** At most one frame per client and this many milliseconds, for clients of many events a frame. */
export const frameEveryMs = 50;

const textFrame = { binary: false } as const;

/** What the outboxes of all clients counted together, since the start. */
export interface OutboxCounters {
  frames: number;
  events: number;
  /** Clients there are now: they share the memory for what waits. */
  clients: number;
}

/**
 * What waits to be sent to one client, and how it is framed. It holds what `behind` allows and no
 * more: whoever writes asks `behind` first, or waits for `caughtUp` between pages.
 */
export abstract class Outbox {
  protected readonly socket: WebSocket;
  protected readonly counters: OutboxCounters;
  readonly #waiting = new Set<() => void>();

  constructor(socket: WebSocket, counters: OutboxCounters) {
    this.socket = socket;
    this.counters = counters;
    counters.clients += 1;
    socket.once('close', () => {
      counters.clients -= 1;
      this.#release();
    });
  }

  /** Bytes that the client has not taken yet. */
  abstract get waitingBytes(): number;
  /** Sends one event that is this client's alone: of a snapshot, or about its own stream. */
  abstract write(json: string): void;
  /** Sends what a shared batch holds for this client. */
  abstract writeBatch(batch: SharedBatch, filter: Filter): void;

  /** More waits than this client's part of the memory: its events are to be dropped and counted. */
  get behind(): boolean {
    const part = allClientsBytes / this.counters.clients;
    return this.waitingBytes > Math.min(mostBytes, Math.max(leastBytes, part));
  }

  /**
   * Resolves when the client has taken nearly everything, or is gone; false when that took longer
   * than `timeoutMs`.
   */
  async caughtUp(timeoutMs?: number): Promise<boolean> {
    const isOpen = this.socket.readyState === this.socket.OPEN;
    if (this.waitingBytes <= lowMarkBytes || !isOpen) return true;
    return new Promise((resolve) => {
      const resume = () => {
        clearTimeout(timer);
        this.#waiting.delete(resume);
        resolve(true);
      };
      const expire = () => {
        this.#waiting.delete(resume);
        resolve(false);
      };
      const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs);
      this.#waiting.add(resume);
    });
  }

  protected send(payload: Buffer | string, events: number): void {
    this.counters.frames += 1;
    this.counters.events += events;
    this.socket.send(payload, textFrame, this.#written);
  }

  /** The kernel took a frame; or the socket failed, which its close event tells as well. */
  readonly #written = () => {
    if (this.#waiting.size > 0 && this.waitingBytes <= lowMarkBytes) this.#release();
  };

  #release(): void {
    for (const resume of [...this.#waiting]) resume();
  }
}

/** One JSON object a frame, sent at once. */
export class EventOutbox extends Outbox {
  override get waitingBytes(): number {
    return this.socket.bufferedAmount;
  }

  override write(json: string): void {
    this.send(json, 1);
  }

  override writeBatch(batch: SharedBatch, filter: Filter): void {
    for (const index of batch.select(filter)) this.send(batch.frame(index), 1);
  }
}

/** Arrays of events: what has gathered since the last tick of the clock is one frame. */
export class BatchOutbox extends Outbox {
  readonly #clock: FrameClock;
  #parts: SharedText[] = [];
  #partBytes = 0;

  constructor(socket: WebSocket, counters: OutboxCounters, clock: FrameClock) {
    super(socket, counters);
    this.#clock = clock;
    const flush = (frames: Map<string, Buffer>) => this.#flush(frames);
    clock.add(flush);
    socket.once('close', () => {
      clock.delete(flush);
      this.#parts = [];
    });
  }

  override get waitingBytes(): number {
    return this.#partBytes + this.socket.bufferedAmount;
  }

  override write(json: string): void {
    this.#add({ id: this.#clock.uniqueId(), bytes: Buffer.from(json), events: 1 });
  }

  override writeBatch(batch: SharedBatch, filter: Filter): void {
    const joined = batch.join(filter);
    if (joined.events > 0) this.#add(joined);
  }

  #add(part: SharedText): void {
    this.#parts.push(part);
    this.#partBytes += part.bytes.length;
  }

  #flush(frames: Map<string, Buffer>): void {
    if (this.#parts.length === 0) return;
    const parts = this.#parts;
    this.#parts = [];
    this.#partBytes = 0;
    const events = parts.reduce((sum, part) => sum + part.events, 0);
    // A run of a snapshot is nobody else's frame, and its key would be longer than its use.
    const key = parts.length > 64 ? this.#clock.uniqueId() : parts.map(({ id }) => id).join();
    let frame = frames.get(key);
    if (frame === undefined) {
      frame = bracketed(parts);
      frames.set(key, frame);
    }
    this.send(frame, events);
  }
}

const opening = Buffer.from('[');
const comma = Buffer.from(',');
const closing = Buffer.from(']');

/** The JSON array of all parts. */
function bracketed(parts: readonly SharedText[]): Buffer {
  const pieces = parts.flatMap(({ bytes }, index) => [index === 0 ? opening : comma, bytes]);
  return Buffer.concat([...pieces, closing]);
}

/** The common beat of batch clients: those that gathered the same parts share the frame's bytes. */
export class FrameClock {
  readonly #flushes = new Set<(frames: Map<string, Buffer>) => void>();
  #timer: NodeJS.Timeout | undefined;
  #lastId = 0;

  /** An id that no shared text has. */
  uniqueId(): string {
    return `own ${(this.#lastId += 1)}`;
  }

  add(flush: (frames: Map<string, Buffer>) => void): void {
    this.#flushes.add(flush);
    this.#timer ??= setInterval(() => this.#tick(), frameEveryMs);
  }

  delete(flush: (frames: Map<string, Buffer>) => void): void {
    this.#flushes.delete(flush);
    if (this.#flushes.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const frames = new Map<string, Buffer>();
    for (const flush of this.#flushes) flush(frames);
  }
}
