import type { Part } from '@netstatd/testkit';
import type { OtherSample, PartSample, Samples } from './samples.ts';
import type { Verdict } from './verdict.ts';

/**
 * What a table lets go of has lived too long for V8 to look for it often: a heap grows for a minute, and shrinks at
 * once. A quarter of a short run is less than that, so that its median is held against the peak before.
 */
const LONG_MINUTES = 10;
const FDS_SPARE = 8;
const MAPS_SPARE_MB = 0.1;
const FILES_SPARE_MB = 1;

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

/** The samples of the third and of the last quarter of a time. */
function quarters<T extends { atMs: number }>(samples: readonly T[], from: number, to: number) {
  const at = (part: number) => from + part * (to - from);
  const between = (a: number, b: number) =>
    samples.filter(({ atMs }) => atMs >= at(a) && atMs < at(b));
  return { third: between(0.5, 0.75), last: between(0.75, 1) };
}

function memory(part: Part, samples: PartSample[], span: [number, number]): Verdict {
  const long = span[1] - span[0] >= LONG_MINUTES * 60_000;
  const { third, last } = quarters(samples, ...span);
  const sizes = (each: PartSample[]) => each.map(({ pssMB }) => pssMB);
  const before = long ? median(sizes(third)) : Math.max(...sizes(third));
  const after = median(sizes(last));
  const [factor, spare] = long ? [1.15, 8] : [1.3, 16];
  return {
    name: `memory of ${part} levels off`,
    measured: `${before.toFixed(0)} → ${after.toFixed(0)} MB`,
    rule: `median ≤ ${factor} × ${long ? 'median' : 'peak'} of the third quarter + ${spare} MB`,
    ok: after <= before * factor + spare,
  };
}

/** Nothing sampled holds no rule. */
const most = <T>(samples: T[], read: (sample: T) => number) =>
  samples.length > 0 ? Math.max(...samples.map(read)) : Number.NaN;

function descriptors(part: Part, samples: PartSample[], span: [number, number]): Verdict {
  const { third, last } = quarters(samples, ...span);
  const [before, after] = [most(third, ({ fds }) => fds), most(last, ({ fds }) => fds)];
  return {
    name: `descriptors of ${part} do not grow`,
    measured: `${before} → ${after}`,
    rule: `≤ third quarter + ${FDS_SPARE}`,
    ok: after <= before + FDS_SPARE,
  };
}

function rest(others: OtherSample[], span: [number, number]): Verdict[] {
  const { third, last } = quarters(others, ...span);
  const [maps, files, bytes] = (['mapMB', 'files', 'fileMB'] as const).map((name) => ({
    before: most(third, (sample) => sample[name]),
    after: most(last, (sample) => sample[name]),
  }));
  if (!maps || !files || !bytes) return [];
  return [
    {
      name: 'memory of the BPF maps does not grow',
      measured: `${maps.before.toFixed(1)} → ${maps.after.toFixed(1)} MB`,
      rule: `≤ third quarter + ${MAPS_SPARE_MB} MB`,
      ok: maps.after <= maps.before + MAPS_SPARE_MB,
    },
    {
      name: 'files of the state directory do not grow',
      measured: `${files.before} → ${files.after}, ${bytes.before.toFixed(2)} → ${bytes.after.toFixed(2)} MB`,
      rule: `as many; ≤ third quarter + ${FILES_SPARE_MB} MB`,
      ok: files.after <= files.before && bytes.after <= bytes.before + FILES_SPARE_MB,
    },
  ];
}

/** What must not grow while the load stays the same: the last quarter of the time against the one before. */
export function levels(samples: Samples, fromMs: number, toMs: number): Verdict[] {
  const span: [number, number] = [fromMs, toMs];
  return [
    ...[...samples.parts].map(([part, each]) => memory(part, each, span)),
    ...[...samples.parts].map(([part, each]) => descriptors(part, each, span)),
    ...rest(samples.others, span),
  ];
}
