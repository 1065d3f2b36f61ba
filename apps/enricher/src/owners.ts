import { RecordFlag, type SocketView } from '@netstatd/records';
import type { Announcer, Owned } from './announcer.ts';
import type { Processes } from './processes.ts';

/** Ownership, taken from records that were made in the owner's own context and from nothing else. */
export class Owners {
  readonly #processes: Processes;
  readonly #announcer: Announcer;

  constructor(processes: Processes, announcer: Announcer) {
    this.#processes = processes;
    this.#announcer = announcer;
  }

  /**
   * Takes the owner that a record names, unless one is known already.
   * @returns whether `owned` got its owner by this
   */
  take(owned: Owned, view: SocketView, flags: number, micros: number): boolean {
    if (owned.process !== undefined || !(flags & RecordFlag.OWNER) || view.pid === 0) return false;
    const process = this.#processes.owner(view.pid, view.ownerStartNs);
    this.#processes.name(process);
    process.comm ??= view.comm;
    owned.comm = view.comm;
    owned.uid = view.uid;
    this.#announcer.own(owned, process, view.cgroupId, micros);
    return true;
  }

  /** Takes the owner of another socket's entry: that of the same socket under another name. */
  share(owned: Owned, from: Owned, micros: number): void {
    if (owned.process !== undefined || from.process === undefined) return;
    owned.comm = from.comm;
    owned.uid = from.uid;
    this.#announcer.own(owned, from.process, from.process.cgroupId, micros);
  }
}
