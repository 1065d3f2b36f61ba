import type { Samples } from './samples.ts';
import type { Verdict } from './verdict.ts';

/** A table that lets go of its oldest frees a little at a time: from here on it is full. */
const FULL = 63 / 64;

const count = (n: number) => n.toLocaleString('en-US');

/**
 * What is in it, what was when the enricher was killed, and what it let go of in the second before: of everything
 * else that was put into a table, its evictions tell.
 */
const UNTOLD = 3;

/**
 * Each table against its limit, and those that were full against what they say had to go.
 * @param closed ends of connections that the client saw close: each was put into the table `closed`
 */
export function bounds({ tables, looks }: Samples, closed: number): Verdict[] {
  const full = [...tables].filter(([, { peak, limit }]) => peak >= limit * FULL);
  const letGo = full.filter(([name]) => name.startsWith('enricher '));
  const over = [...tables].filter(([, sample]) => sample.over > 0);
  const overText = over.map(([name, { peak, limit }]) => `${name} ${count(peak)} > ${limit}`);
  return [
    {
      name: 'no table exceeds its limit',
      measured: over.length > 0 ? overText.join(', ') : `${tables.size} tables, ${looks} looks`,
      rule: 'entries ≤ limit, each second',
      ok: over.length === 0 && tables.size > 0,
    },
    {
      name: 'what a full table lets go of is counted',
      measured: letGo
        .map(([name, { limit, evictions }]) => `${name} ${count(limit)}: ${count(evictions)}`)
        .join(', '),
      rule: `full tables have evictions; closed at least ${count(closed)} − ${UNTOLD} × its limit`,
      ok:
        letGo.length > 0 &&
        letGo.every(
          ([name, { evictions, limit }]) =>
            evictions > (name === 'enricher closed' ? closed - UNTOLD * limit : 0),
        ),
    },
  ];
}
