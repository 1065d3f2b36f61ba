import type { Chunk, ChunkListener } from '@netstatd/capture';

/** The kinds of source that can stand behind the collector. */
export const sourceKinds = ['bpf', 'procfs', 'replay'] as const;
export type SourceKind = (typeof sourceKinds)[number];

/** What a source has lost and how full it is. */
export interface SourceStats {
  /** Records lost before they could be read, by enum drop_slot. */
  readonly lost: readonly number[];
  /** Everything else worth counting, by name. */
  readonly [counter: string]: number | readonly number[];
}

/** A source that tells of this machine as it is: the kernel's own records, or what /proc shows. */
export interface LiveSource {
  /** Bytes in front of the records of each chunk, for the batch header. */
  readonly headroom: number;
  /** For `host.info` and the status: the source, what each kind of event comes from, and what it misses. */
  captureKinds(): Record<string, string>;
  /** Begins to tell what happens, in chunks that the listener may keep. Called once. */
  start(listener: ChunkListener): void;
  /** What is open now, between MARK_SNAPSHOT_BEGIN and MARK_SNAPSHOT_END. */
  snapshot(): Chunk[];
  /** Ends the UDP flows that have been idle. @returns how many are left */
  sweepFlows(): number;
  stats(): SourceStats;
  /** CLOCK_REALTIME - CLOCK_MONOTONIC now, in ns. */
  wallOffsetNs(): bigint;
  close(): void;
}
