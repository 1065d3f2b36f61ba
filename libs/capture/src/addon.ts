import { createRequire } from 'node:module';
import { resolve } from 'node:path';

/** What became of one program of the BPF object on this kernel. */
export interface Hook {
  /** The program's name in the object, such as `tcp_state`. */
  name: string;
  /** libbpf's section name: what it is attached to, such as `tp_btf/inet_sock_set_state`. */
  section: string;
  /**
   * `unsupported`: this kernel cannot load it, or lacks what it attaches to; `failed`: it loads, but could not
   * be attached; `off`: an option excludes it; `spare`: what it would stand in for is attached and
   * suffices, so far.
   */
  state: 'attached' | 'unsupported' | 'failed' | 'off' | 'spare';
  /** Why it is not attached, in the kernel's or libbpf's words. */
  reason?: string;
  /** Name of the hook that is attached in its place. */
  standIn?: string;
}

/** Settings of the kernel side, fixed while it is loaded. */
export interface NativeOptions {
  objectPath: string;
  loopback: boolean;
  udp: boolean;
  ringBytes: number;
  flowIdleMs: number;
  flowTableSize: number;
  /** Names of hooks, separated by commas. */
  without: string;
}

/** Records laid end to end behind `headroom` bytes that are left for the batch header. */
export interface Chunk {
  buffer: Buffer;
  payloadBytes: number;
  records: number;
}

export interface CaptureStats {
  /** Records lost for want of room in the ring, by enum drop_slot (socket kinds, 0 for others). */
  lost: number[];
  /** Records, bytes and chunks handed over since start(). */
  records: number;
  bytes: number;
  chunks: number;
  /** Times the queue of chunks was full, so that records waited in the ring. */
  blocked: number;
  /** Records longer than any known one, skipped. */
  oversize: number;
  /** Bytes waiting in the ring now, 0 before start(). */
  ringBytesUsed: number;
  /** TCP transitions that interrupted another one, and were seen all the same. */
  takenOver: number;
  /** TCP connections whose CLOSE no program saw, and that were told at the end of their socket. */
  endedLate: number;
}

/** The open capture, only to be handed back to the addon. */
export type Handle = object & { readonly handle: unique symbol };

/** The functions of the native addon (native/addon.c). Each throws an Error with a `code`. */
export interface Addon {
  open(options: NativeOptions): Handle;
  hooks(handle: Handle): Hook[];
  start(
    handle: Handle,
    onChunk: (buffer: Buffer, payloadBytes: number, records: number) => void,
  ): void;
  snapshot(handle: Handle): Chunk[];
  sweepFlows(handle: Handle): number;
  stats(handle: Handle): CaptureStats;
  close(handle: Handle): void;
  /** CLOCK_REALTIME - CLOCK_MONOTONIC now, in ns. */
  wallOffsetNs(): bigint;
  /** Bytes in front of the records of each chunk. */
  readonly headroom: number;
}

/**
 * Loads the native addon. It needs the system's libbpf.so.1.
 * @throws Error of the dynamic loader when the file or a library is missing.
 */
export function loadAddon(path: string): Addon {
  const file = resolve(path);
  return createRequire(file)(file) as Addon;
}
