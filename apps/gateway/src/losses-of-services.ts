import type { BoardEntry } from '@netstatd/stream';

/** `events:<protocol>:<family>:<state>`: how the enricher counts the connection events it made. */
const eventCounter = /^events:(\d+):(\d+):([A-Z_0-9]+)$/;

const countersOf = (entries: readonly BoardEntry[], service: string) =>
  entries.find(({ status }) => status.service === service)?.status.counters;

/** Events that the enricher of a node published since it started; undefined when it is unheard. */
export function publishedEvents(entries: readonly BoardEntry[]): number | undefined {
  return countersOf(entries, 'enricher')?.events;
}

/**
 * What a node lost since its services started, by place, out of their heartbeats: every counter
 * named `lost:<place>` counts, whichever service has it.
 */
export function lossesOf(entries: readonly BoardEntry[]): Record<string, number> {
  const lost: Record<string, number> = { kernel: 0, bus: 0, client: 0 };
  for (const { status } of entries) {
    for (const [name, value] of Object.entries(status.counters)) {
      const place = /^lost:([a-z]+)$/.exec(name)?.[1];
      if (place !== undefined) lost[place] = (lost[place] ?? 0) + value;
    }
  }
  return lost;
}

/** Connection events of a node by protocol, family and state, as their metrics name them. */
export function* eventsByState(
  entries: readonly BoardEntry[],
): Generator<readonly [{ protocol: string; family: string; state: string }, number]> {
  for (const [name, value] of Object.entries(countersOf(entries, 'enricher') ?? {})) {
    const [, protocol, family, state] = eventCounter.exec(name) ?? [];
    if (protocol === undefined || family === undefined || state === undefined) continue;
    yield [{ protocol, family, state }, value];
  }
}
