import type { Container } from './container.ts';

/** A process (thread group) by its identity: a pid may be given again, a pid and a start time may not. */
export class Process {
  readonly pid: number;
  /** CLOCK_BOOTTIME nanoseconds. */
  readonly startNs: number;
  ppid: number | undefined;
  exe: string | undefined;
  comm: string | undefined;
  netns: number | undefined;
  /** Its cgroup in the unified hierarchy; 0 when not known. */
  cgroupId = 0;
  /** Its container by a hierarchy of cgroup v1, once /proc was asked or a parent told. */
  legacyContainer: Container | undefined;
  legacyKnown = false;
  /** /proc was asked for the executable that no record told. */
  nameSought = false;
  exited = false;
  /** Clients know of it: process.metainfo was sent, and is part of the snapshot. */
  announced = false;
  /** Connections, flows and listeners that name it. */
  sockets = 0;
  /** Newest record that told of it, CLOCK_MONOTONIC nanoseconds. */
  timeNs = 0;
  /** Number of the snapshot that showed it last. */
  seen = 0;

  constructor(pid: number, startNs: number) {
    this.pid = pid;
    this.startNs = startNs;
  }

  /** Start as /proc/<pid>/stat has it, in ticks of 10 ms: USER_HZ is 100 on every architecture that has BTF. */
  get startTicks(): number {
    return Math.floor(this.startNs / 1e7);
  }
}
