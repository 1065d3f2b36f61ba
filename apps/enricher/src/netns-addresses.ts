import { BoundedMap } from './bounded-map.ts';
import { isUnspecified } from './connection.ts';
import type { Host } from './host.ts';
import type { ProcessSource } from './parts.ts';
import type { Process } from './process.ts';

/** Network namespaces whose addresses are remembered. */
const NAMESPACES_MAX = 4096;
/** How long what was read is taken for true. */
const FRESH_MS = 2_000;

interface Read {
  readonly addresses: readonly string[];
  readonly atMs: number;
}

/** What an unspecified address stands for: the addresses of its network namespace, read through a process in it. */
export class NetnsAddresses {
  readonly #procfs: ProcessSource;
  readonly #host: Host;
  readonly #byNetns = new BoundedMap<number, Read>(NAMESPACES_MAX);

  constructor(procfs: ProcessSource, host: Host) {
    this.#procfs = procfs;
    this.#host = host;
  }

  /**
   * The addresses of the same family that `0.0.0.0` or `::` stands for; undefined for other addresses, and when none
   * is known. Whether a socket on `::` takes IPv4 too is not known.
   */
  behind(
    ip: string,
    netns: number | undefined,
    process: Process | undefined,
  ): string[] | undefined {
    if (!isUnspecified(ip) || netns === undefined) return undefined;
    const onHost = this.#host.isHostNetns(netns) === true;
    const all = onHost ? this.#host.addresses() : this.#of(netns, process);
    const found = all.filter((address) => address.includes(':') === ip.includes(':'));
    return found.length > 0 ? found : undefined;
  }

  #of(netns: number, process: Process | undefined): readonly string[] {
    const known = this.#byNetns.get(netns);
    const nowMs = performance.now();
    if (known !== undefined && nowMs - known.atMs < FRESH_MS) return known.addresses;
    const stale = known?.addresses ?? [];
    if (process === undefined || process.exited) return stale;
    const addresses = this.#procfs.addressesOf(process.pid);
    // Looked at afterwards: the pid may have been given again, or have moved to another namespace.
    const found = this.#procfs.readProcess(process.pid);
    if (found?.startTicks !== process.startTicks || found.netns !== netns) return stale;
    this.#byNetns.set(netns, { addresses, atMs: nowMs });
    return addresses;
  }
}
