/** How long to wait for the snapshot that was asked for, before asking again. */
export interface Waits {
  next(): number;
  reset(): void;
}

/** From its beginning, a snapshot takes no longer than this. */
const SNAPSHOT_TIMEOUT_MS = 30_000;
/**
 * After a snapshot, records from before it are still read: the ring buffer is drained every 10 ms, and what was
 * drained may wait for the bus.
 */
const SETTLE_NS = 500e6;

/**
 * Brings the state back in line after a loss: asks the collector for a snapshot until one has come whole, and says
 * when to act on it. Times are milliseconds of a monotonic clock.
 */
export class Resync {
  readonly #request: (reason: string) => void;
  readonly #waits: Waits;
  /** Why a snapshot is needed; undefined when the state is whole. */
  #reason: string | undefined = 'start';
  /** Why one is wanted although nothing is known to be lost. */
  #check: string | undefined;
  #askAt = 0;
  #begunAt: number | undefined;
  #beginNs = 0;
  #sockets = 0;
  /** All of the snapshot's records so far were read. */
  #whole = false;
  /** Nothing was lost since the snapshot began, so that it makes up for all that was lost before. */
  #last = false;
  #settleAtNs: number | undefined;
  /** Number of the snapshot that is being read, or was read last. */
  number = 0;

  /** @param request asks the collector for a snapshot */
  constructor(request: (reason: string) => void, waits: Waits) {
    this.#request = request;
    this.#waits = waits;
  }

  /** Whether the state is whole, as far as anybody knows. */
  get synced(): boolean {
    return this.#reason === undefined;
  }
  /** CLOCK_MONOTONIC nanoseconds at which the snapshot began. */
  get beginNs(): number {
    return this.#beginNs;
  }

  /**
   * Something was lost.
   * @param broken whether it may have been a part of the snapshot that is being read
   */
  lost(reason: string, broken: boolean): void {
    if (this.#reason === undefined) this.#askAt = 0;
    this.#reason = reason;
    this.#last = false;
    if (broken) this.#whole = false;
  }

  /** Wants to compare what is known with what is there, although nothing is known to be lost. */
  check(reason: string): void {
    if (this.#reason === undefined && this.#check === undefined) this.#askAt = 0;
    this.#check ??= reason;
  }

  /**
   * MARK_SNAPSHOT_BEGIN.
   * @param clean whether nothing can have been lost since by what is known from the batch that holds the mark
   */
  begin(timeNs: number, nowMs: number, clean: boolean): void {
    this.number++;
    this.#check = undefined;
    this.#begunAt = nowMs;
    this.#beginNs = timeNs;
    this.#sockets = 0;
    this.#whole = true;
    this.#last = clean;
  }

  /** A socket record of the snapshot. */
  count(): void {
    this.#sockets++;
  }

  /**
   * MARK_SNAPSHOT_END.
   * @param sockets how many socket records there should have been
   * @returns whether the snapshot is whole, and may be compared with what is known
   */
  end(sockets: number, timeNs: number): boolean {
    const whole = this.#begunAt !== undefined && this.#whole && this.#sockets === sockets;
    this.#begunAt = undefined;
    if (!whole) return false;
    if (this.#last) {
      this.#reason = undefined;
      this.#waits.reset();
    }
    this.#settleAtNs = timeNs + SETTLE_NS;
    return true;
  }

  /**
   * Asks for a snapshot when one is due.
   * @param readNs CLOCK_MONOTONIC time up to which everything that happened has been read
   * @returns whether it is time to act on what contradicts the last snapshot
   */
  tick(nowMs: number, readNs: number): boolean {
    if (this.#begunAt !== undefined && nowMs - this.#begunAt > SNAPSHOT_TIMEOUT_MS) {
      this.#begunAt = undefined;
    }
    const reason = this.#reason ?? this.#check;
    if (reason !== undefined && this.#begunAt === undefined && nowMs >= this.#askAt) {
      this.#askAt = nowMs + this.#waits.next();
      this.#request(reason);
    }
    if (this.#settleAtNs === undefined || readNs < this.#settleAtNs) return false;
    this.#settleAtNs = undefined;
    return true;
  }
}
