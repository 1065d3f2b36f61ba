import type { Container } from './container.ts';

/** How far back ancestors are remembered, at most. */
const ANCESTORS = 16;

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
  /** Its container where the unified hierarchy does not tell: /proc was asked, or its parent was in it. */
  container: Container | undefined = undefined;
  /** By which version of what runtimes say of cgroups; -1 when nobody was asked since it was forked or executed. */
  containerVersion = -1;
  /** Who forked it; a long line of ancestors is cut. */
  parent: Process | undefined = undefined;
  #generation = 0;
  /** /proc was asked for the executable that no record told. */
  nameSought = false;
  exited = false;
  /** Clients know of it: process.metainfo was sent, and is part of the snapshot. */
  announced = false;
  /** The container that was told with it. */
  told: Container | undefined = undefined;
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

  /** It was forked by `parent`, and is where that is. */
  bornOf(parent: Process): void {
    this.exe = parent.exe;
    this.container = parent.container;
    this.containerVersion = parent.containerVersion;
    // A line of processes that each fork the next and end would keep all of them in memory.
    this.#generation = (parent.#generation + 1) % ANCESTORS;
    this.parent = this.#generation === 0 ? undefined : parent;
  }

  /** Start as /proc/<pid>/stat has it, in ticks of 10 ms: USER_HZ is 100 on every architecture that has BTF. */
  get startTicks(): number {
    return Math.floor(this.startNs / 1e7);
  }
}
