import type { Accounted } from './account.ts';
import {
  begunIn,
  expected,
  kinds,
  missingOf,
  sumOf,
  tcpKinds,
  type Counts,
  type Made,
} from './made.ts';
import type { Restart } from './restart.ts';
import { sumText, type Verdict } from './verdict.ts';
import type { Lagged } from './watch.ts';

/** The end of a flow is told by the sweep that follows, once a second. */
const AFTERMATH_MS = 2500;
/** Records of several processors are not told in the order of their times. */
const DISORDER_MS = 1000;

/** A time in which something may be missing, because it was announced. */
interface Window {
  fromMs: number;
  toMs: number;
}

const overlaps = (made: Made, { fromMs, toMs }: Window) =>
  made.beginUs / 1000 < toMs && made.endUs / 1000 + AFTERMATH_MS > fromMs;

const sum = (groups: readonly Accounted[], read: (group: Accounted) => number) =>
  groups.reduce((total, group) => total + read(group), 0);

const missing = ({ made, seen }: Accounted) => missingOf(made, seen);
/** Things seen of a group that nobody made, or that were told twice. */
const surplus = (group: Accounted) =>
  kinds.reduce((total, kind) => total + Math.max(0, -missing(group)[kind]), group.seen.twice);
const positive = (counts: Counts) =>
  kinds.reduce((total, kind) => total + Math.max(0, counts[kind]), 0);

const madeIn = (groups: readonly Accounted[]) => sum(groups, ({ made }) => sumOf(expected(made)));
const missingIn = (groups: readonly Accounted[]) =>
  sum(groups, (group) => positive(missing(group)));

/** Losses with a number that no restart explains. */
function otherLosses(lagged: readonly Lagged[], restarts: readonly Restart[]): Lagged[] {
  return lagged.filter(
    ({ atMs }) => !restarts.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs),
  );
}

/** Of each kind, no more of TCP may be missing than was begun in the window. */
function withinWindow(groups: readonly Accounted[], { fromMs, toMs }: Window): string[] {
  const begun = sum(groups, ({ made }) => begunIn(made, fromMs, toMs));
  return tcpKinds.flatMap((kind) => {
    const lost = sum(groups, (group) => Math.max(0, missing(group)[kind]));
    // The group's own process is one more than the connections tell.
    const bound = kind === 'pids' ? begun + groups.length : begun;
    return lost > bound ? [`${kind}: ${lost} > ${bound}`] : [];
  });
}

function restartVerdict(groups: readonly Accounted[], restart: Restart): Verdict {
  const { part, fromMs, toMs, announced, counted, told, awayMs } = restart;
  const within = groups.filter(({ made }) => overlaps(made, restart));
  const lost = missingIn(within);
  const begun = sum(within, ({ made }) => begunIn(made, fromMs, toMs));
  const excess = withinWindow(within, restart);
  const numbered = part === 'nats';
  return {
    name: `restart of ${part}: what is missing was announced`,
    measured:
      `away ${awayMs} ms, window ${toMs - fromMs} ms with ${begun} connections; ` +
      `${sumText(madeIn(within), madeIn(within) - lost, counted)}; ` +
      (announced === undefined ? 'not told' : `told: ${announced} ${told}`) +
      (excess.length > 0 ? `; beyond the window: ${excess.join(', ')}` : ''),
    rule: numbered
      ? 'told = counted by the services; missing ≤ told'
      : 'told; missing ≤ made in the window',
    ok:
      announced !== undefined &&
      excess.length === 0 &&
      (!numbered || (told === counted && lost <= told)),
  };
}

/**
 * Made = seen + counted. A group that nothing announced touches is seen to the last connection, flow, process and
 * port. A restart tells that something was missed and, but for the bus, not how much: then nothing may be missing
 * from before or after, and of TCP, whose times are known to 50 ms, no more than was begun in between.
 */
export function balance(
  groups: readonly Accounted[],
  restarts: readonly Restart[],
  lagged: readonly Lagged[],
): Verdict[] {
  const losses = otherLosses(lagged, restarts);
  const lossWindows = losses.map(({ fromMs, atMs }) => ({
    ...{ fromMs: fromMs - DISORDER_MS, toMs: atMs },
  }));
  const touched = (windows: readonly Window[]) => (group: Accounted) =>
    windows.some((window) => overlaps(group.made, window));
  const restarted = groups.filter(touched(restarts));
  const lossy = groups.filter((group) => !restarted.includes(group) && touched(lossWindows)(group));
  const calm = groups.filter((group) => !restarted.includes(group) && !lossy.includes(group));
  const counted = losses.reduce((total, { dropped }) => total + (dropped ?? 0), 0);
  const part = Math.round((100 * calm.length) / groups.length);
  const tooMuch = sum(groups, surplus);
  const failed = sum(groups, ({ made }) => made.failed);
  return [
    {
      name: 'the load made what it was to make',
      measured: `${groups.length} groups, ${failed} failures`,
      rule: 'no failures',
      ok: groups.length > 0 && failed === 0,
    },
    {
      name: 'made = seen, where nothing was announced',
      measured: `${calm.length} groups (${part} %): ${sumText(madeIn(calm), madeIn(calm) - missingIn(calm), 0)}`,
      rule: 'none missing; at least half of the groups',
      ok: missingIn(calm) === 0 && part >= 50,
    },
    {
      name: 'made = seen + counted, where a loss was told',
      measured: `${lossy.length} groups: ${sumText(madeIn(lossy), madeIn(lossy) - missingIn(lossy), counted)}`,
      rule: 'missing ≤ counted',
      ok: missingIn(lossy) <= counted,
    },
    ...restarts.map((each) => restartVerdict(groups, each)),
    {
      name: 'nothing was told twice or made up',
      measured: `${tooMuch}`,
      rule: '0',
      ok: tooMuch === 0,
    },
  ];
}
