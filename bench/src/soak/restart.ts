import { waitFor, type Part, type Up } from '@netstatd/testkit';
import type { Watch } from './watch.ts';

/** One service killed while everything goes on, and what was told of it. Times in ms since 1970. */
export interface Restart {
  part: Part;
  /** What may be missing happened between these. */
  fromMs: number;
  toMs: number;
  /** From the end of the old process to the readiness of all. */
  awayMs: number;
  /** How it was told; nothing if it was not. */
  announced: string | undefined;
  /** Records and events that the services say were lost meanwhile; only of those that live on. */
  counted: number;
  /** Of these, what the client was told in numbers. */
  told: number;
}

/**
 * What a service may hold when it dies: records wait 10 ms in the ring, inbound connections 100 ms for their owner,
 * frames 50 ms; a machine that is busy makes more of each.
 */
const IN_HAND_MS = 1000;
const METRICS_MS = 10_000;

/** Whether the loss of a part has been told, as far as the client can know: by the losses, or by the connection's end. */
function announcement(part: Part, watch: Watch, since: number): string | undefined {
  const complete = watch.complete.some((atMs) => atMs > since);
  const lagged = watch.lagged.filter(({ atMs }) => atMs > since);
  if (part === 'gateway') {
    const closed = watch.closed.find((atMs) => atMs > since);
    return closed !== undefined && watch.complete.some((atMs) => atMs > closed)
      ? 'the connection ended, a new opening'
      : undefined;
  }
  const wanted = part === 'nats' ? 'bus' : 'restart';
  if (!lagged.some(({ place }) => place === wanted)) return undefined;
  if (part === 'enricher' && !complete) return undefined;
  return `stream.lagged (${[...new Set(lagged.map(({ place }) => place))].join(', ')})`;
}

const COUNTERS = [
  ['enricher', /^netstatd_enricher\{name="lostOnBus"\} (\d+)$/m],
  ['enricher', /^netstatd_enricher\{name="lostInKernel"\} (\d+)$/m],
  ['gateway', /^netstatd_gateway_missed_events_total (\d+)$/m],
  ['gateway', /^netstatd_gateway_client_dropped_events_total (\d+)$/m],
] as const;

/** What the services count as lost between the kernel and the client. */
async function countedBy(up: Up): Promise<number> {
  const counts = await Promise.all(
    COUNTERS.map(async ([part, pattern]) => {
      const answer = await fetch(up.url('/metrics', part), {
        signal: AbortSignal.timeout(METRICS_MS),
      });
      return Number(pattern.exec(await answer.text())?.[1]);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Kills a part, and waits until it is back, all are ready, and its absence has been told. */
export async function restart(up: Up, watch: Watch, part: Part): Promise<Restart> {
  const before = up.endpoints().pids[part];
  const toldBefore = watch.lagged.length;
  const countedBefore = await countedBy(up);
  const killedAt = Date.now();
  up.signal(part, 'SIGKILL');
  await waitFor(`another ${part}`, () => (up.endpoints().pids[part] ?? before) !== before);
  await up.ready();
  const readyAt = Date.now();
  const announced = await waitFor(`a word on the restart of ${part}`, () =>
    announcement(part, watch, killedAt),
  ).catch(() => undefined);
  await up.ready();
  let [counted, told] = [0, 0];
  const allTold = async () => {
    counted = Math.max(0, (await countedBy(up)) - countedBefore);
    told = watch.lagged.slice(toldBefore).reduce((sum, { dropped }) => sum + (dropped ?? 0), 0);
    return told === counted;
  };
  // What is counted is on its way to the client; only the bus leaves all counters alive.
  if (part === 'nats') await waitFor('all losses to be told', allTold).catch(() => undefined);
  else await allTold();
  return {
    ...{ part, announced, counted, told },
    ...{ fromMs: killedAt - IN_HAND_MS, toMs: Date.now(), awayMs: readyAt - killedAt },
  };
}
