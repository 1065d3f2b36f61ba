import { signal } from '@preact/signals';

/** What the page reads of `/api/status`. */
export interface Status {
  readonly nodes: readonly NodeStatus[];
}

export interface NodeStatus {
  readonly nodeName: string;
  /** `up`, or `down` when its heartbeats stopped. */
  readonly state: string;
  /** Events published by the enricher since it started. */
  readonly seen?: number;
  /** What was lost, per place. */
  readonly lost: Readonly<Record<string, number>>;
  readonly services: readonly {
    readonly service: string;
    readonly ready: boolean;
    readonly reason?: string;
    /** Of the collector: what each kind of event comes from, the `source` of all, and what that has `missed`. */
    readonly capture?: Readonly<Record<string, string>>;
  }[];
}

const pollMs = 2_000;
const timeoutMs = 5_000;

/** The last answer of `/api/status`, or why there is none. */
export const status = signal<Status | undefined>(undefined);
export const statusError = signal<string | undefined>(undefined);

/** Asks for the status every two seconds, one question at a time; a failure is shown, not thrown. */
export async function pollStatus(): Promise<void> {
  try {
    const response = await fetch('api/status', { signal: AbortSignal.timeout(timeoutMs) });
    if (!response.ok) throw new Error(`/api/status answered ${response.status}`);
    status.value = (await response.json()) as Status;
    statusError.value = undefined;
  } catch (error) {
    statusError.value = error instanceof Error ? error.message : String(error);
  }
  setTimeout(() => void pollStatus(), pollMs);
}

/** Why connections may be missing, by the services' own words; undefined when all are well. */
export function complaint(known: Status | undefined): string | undefined {
  if (known === undefined) return undefined;
  for (const node of known.nodes) {
    if (node.state !== 'up') return `${node.nodeName} is ${node.state}`;
    for (const name of ['collector', 'enricher']) {
      const service = node.services.find((each) => each.service === name);
      if (service === undefined) return `The ${name} of ${node.nodeName} has not been heard`;
      if (!service.ready) {
        return `The ${name} of ${node.nodeName} is not ready: ${service.reason ?? 'no reason given'}`;
      }
    }
  }
  return known.nodes.length === 0 ? 'no node has been heard' : undefined;
}

const sources: Record<string, string> = { procfs: 'read from /proc', replay: 'a recording' };

/** What stands between a node's connections and the page's, other than losses. */
export interface Reservation {
  readonly what: string;
  /** What is not shown for it. */
  readonly missed: string;
}

/** The nodes that are seen by other means than the kernel's own records. */
export function reservations(known: Status | undefined): Reservation[] {
  return (known?.nodes ?? []).flatMap(({ nodeName, services }) => {
    const capture = services.find(({ service }) => service === 'collector')?.capture;
    const { source = 'bpf', missed = 'not said' } = capture ?? {};
    if (source === 'bpf') return [];
    return { what: `${nodeName} is ${sources[source] ?? source}`, missed };
  });
}
