import { eventSchemas, makeRow, type EventRow, type Remote } from '@netstatd/events';
import type { ProcFs } from '@netstatd/procfs';
import type { Pods } from './pods.ts';

/** Where host.info is read from. */
export interface HostSource {
  readonly procfs: Pick<ProcFs, 'hostNetns' | 'kernelRelease' | 'bootId'>;
  readonly addresses: () => readonly string[];
  readonly version: string;
}

/** What a recording tells of the machine that it was made on. */
const recordedFacts = eventSchemas['host.info'].pick({
  hostIPs: true,
  hostNetNS: true,
  kernel: true,
  bootId: true,
  capture: true,
});

const loopback: Remote = { kind: 'loopback' };
const host: Remote = { kind: 'host' };
const external: Remote = { kind: 'external' };

/** What is known of the machine: its host.info, and which remote addresses are its own. */
export class Host {
  netns: number | undefined;
  readonly #source: HostSource;
  #kernel: string | undefined;
  #bootId: string | undefined;
  #addresses = new Set<string>();
  #capture: Readonly<Record<string, string>> = {};
  #told = '';
  #pods: Pods | undefined;

  constructor(source: HostSource) {
    this.#source = source;
    this.netns = source.procfs.hostNetns();
    this.#kernel = source.procfs.kernelRelease();
    this.#bootId = source.procfs.bootId();
    this.refresh();
  }

  /** Reads the addresses anew: interfaces come and go. */
  refresh(): void {
    this.#addresses = new Set(this.#source.addresses());
  }

  addresses(): readonly string[] {
    return [...this.#addresses];
  }

  /** The collector said by which probes it captures. */
  captures(kinds: Readonly<Record<string, string>>): void {
    this.#capture = kinds;
  }

  /**
   * Takes the machine of a recording for the host.
   * @param json from outside; what is no facts of a host changes nothing
   * @returns whether it was taken
   */
  learn(json: string): boolean {
    const facts = recordedFacts.safeParse(parseJson(json));
    if (!facts.success) return false;
    const { hostIPs, hostNetNS, kernel, bootId, capture } = facts.data;
    this.#addresses = new Set(hostIPs);
    this.netns = hostNetNS;
    this.#kernel = kernel;
    this.#bootId = bootId;
    const from = capture.source === undefined ? {} : { recordedFrom: capture.source };
    this.#capture = { ...capture, ...from, source: 'replay' };
    return true;
  }

  /** Addresses may be those of pods from here on. */
  houses(pods: Pods): void {
    this.#pods = pods;
  }

  /** What an address is, as far as this machine can tell. One object per kind or pod, shared by all rows. */
  remoteOf(ip: string): Remote {
    if (ip.startsWith('127.') || ip === '::1') return loopback;
    return this.#addresses.has(ip) ? host : (this.#pods?.remoteOf(ip) ?? external);
  }

  isHostNetns(netns: number | undefined): boolean | undefined {
    return netns === undefined || this.netns === undefined ? undefined : netns === this.netns;
  }

  /** host.info as it is now. */
  row(micros: number): EventRow {
    return makeRow('host.info', {
      timestamp: micros,
      hostIPs: [...this.#addresses],
      hostNetNS: this.netns,
      kernel: this.#kernel,
      bootId: this.#bootId,
      version: this.#source.version,
      capture: this.#capture,
    });
  }

  /** host.info, when it has changed since this was last asked. */
  changedRow(micros: number): EventRow | undefined {
    const told = JSON.stringify([[...this.#addresses], this.#capture, this.netns]);
    if (told === this.#told) return undefined;
    this.#told = told;
    return this.row(micros);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
