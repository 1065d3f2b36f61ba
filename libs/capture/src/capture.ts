import { loadAddon } from './addon.ts';
import type { Addon, CaptureStats, Chunk, Handle, Hook } from './addon.ts';
import { CaptureError } from './errors.ts';
import { captureKinds } from './kinds.ts';

export interface CaptureOptions {
  /** Record connections and ports whose addresses are loopback. Default true. */
  loopback?: boolean;
  /** Record UDP flows and ports. Default true. */
  udp?: boolean;
  /** Size of the kernel's ring buffer: a power of two, at least a page. Default 16 MiB. */
  ringBytes?: number;
  /** A UDP flow without a datagram for so long is closed. Default 30,000. */
  flowIdleMs?: number;
  /** UDP flows that are followed at a time; older ones are evicted. Default 65,536. */
  flowTableSize?: number;
  /** Names of hooks that are kept away from the kernel; what stands in for them is used. Default none. */
  without?: readonly string[];
}

export interface CaptureFiles {
  /** The native addon, netstatd_capture.node. */
  addonPath: string;
  /** The compiled BPF object, netstatd.bpf.o. */
  objectPath: string;
  options?: CaptureOptions;
}

export type ChunkListener = (buffer: Buffer, payloadBytes: number, records: number) => void;

/** The kernel side, loaded and attached. Everything ends with close(), or with the process. */
export class Capture {
  /** Bytes in front of the records of each chunk, for the batch header. */
  readonly headroom: number;
  /** Every program of the BPF object by name, and what became of it. */
  readonly hooks: Readonly<Record<string, Hook>>;
  /** UDP flows that are kept at a time; datagrams of others are counted as untracked. */
  readonly flowTableSize: number;
  readonly #addon: Addon;
  #handle: Handle | undefined;

  private constructor(addon: Addon, handle: Handle, flowTableSize: number) {
    this.#addon = addon;
    this.flowTableSize = flowTableSize;
    this.#handle = handle;
    this.headroom = addon.headroom;
    this.hooks = Object.fromEntries(addon.hooks(handle).map((hook) => [hook.name, hook]));
  }

  /**
   * Loads and attaches all that this kernel supports. From here on records gather in the ring.
   * @throws CaptureError when the addon, the object, rights or the kernel do not allow it.
   * @throws RangeError when an option is out of its range.
   */
  static open({ addonPath, objectPath, options = {} }: CaptureFiles): Capture {
    const settings = {
      objectPath,
      loopback: options.loopback ?? true,
      udp: options.udp ?? true,
      ringBytes: options.ringBytes ?? 16 << 20,
      flowIdleMs: options.flowIdleMs ?? 30_000,
      flowTableSize: options.flowTableSize ?? 65_536,
      without: (options.without ?? []).join(','),
    };
    const { ringBytes, flowIdleMs, flowTableSize } = settings;
    if (!Number.isInteger(Math.log2(ringBytes)) || ringBytes < 4096 || ringBytes > 1 << 30)
      throw new RangeError(`ringBytes must be a power of two from 4096 to 2^30, not ${ringBytes}`);
    if (!(flowIdleMs >= 1 && flowIdleMs <= 86_400_000))
      throw new RangeError(`flowIdleMs must be from 1 to 86400000, not ${flowIdleMs}`);
    if (!Number.isInteger(flowTableSize) || flowTableSize < 1 || flowTableSize > 1 << 24)
      throw new RangeError(`flowTableSize must be from 1 to 2^24, not ${flowTableSize}`);
    let addon: Addon;
    try {
      addon = loadAddon(addonPath);
    } catch (error) {
      throw CaptureError.from(error, 'NO_ADDON');
    }
    let capture: Capture;
    try {
      capture = new Capture(addon, addon.open(settings), flowTableSize);
    } catch (error) {
      throw CaptureError.from(error, 'LOAD_FAILED');
    }
    const unknown = (options.without ?? []).filter((name) => !(name in capture.hooks));
    if (unknown.length === 0) return capture;
    capture.close();
    throw new RangeError(`without: there is no hook named ${unknown.join(', ')}`);
  }

  /** For `host.info`: the hook that each kind of event comes from, or why there is none. */
  captureKinds(): Record<string, string> {
    return captureKinds(this.hooks);
  }

  /**
   * Starts the reader: `listener` gets each chunk as a fresh Buffer of `headroom` bytes and then `payloadBytes`
   * of records, at most 10 ms after they were made. A listener that is slow makes the ring fill up; what then
   * is lost, the kernel counts. Can be called once.
   */
  start(listener: ChunkListener): void {
    this.#addon.start(this.#open(), listener);
  }

  /**
   * What is open now: MARK_SNAPSHOT_BEGIN, processes, sockets of all network namespaces with their owners,
   * MARK_SNAPSHOT_END. Owners found here are remembered in the kernel. Blocks for some 4 ms per 10,000 sockets.
   */
  snapshot(): Chunk[] {
    return this.#addon.snapshot(this.#open());
  }

  /** Closes the UDP flows that have been idle (records FLOW_CLOSED); to be called regularly. Returns how many
   * are left. */
  sweepFlows(): number {
    return this.#addon.sweepFlows(this.#open());
  }

  stats(): CaptureStats {
    return this.#addon.stats(this.#open());
  }

  /** Records lost in the kernel so far, of every kind. */
  lost(): number {
    return this.stats().lost.reduce((sum, lost) => sum + lost, 0);
  }

  /** CLOCK_REALTIME - CLOCK_MONOTONIC now, in ns: what turns a record's time into wall time. */
  wallOffsetNs(): bigint {
    return this.#addon.wallOffsetNs();
  }

  /** Detaches and frees everything. Chunks already handed over stay valid. */
  close(): void {
    if (this.#handle) this.#addon.close(this.#handle);
    this.#handle = undefined;
  }

  #open(): Handle {
    if (!this.#handle) throw new Error('the capture is closed');
    return this.#handle;
  }
}
