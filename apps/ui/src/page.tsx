import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Banner, Counters, linkText } from './banner.tsx';
import { ConnectionList } from './connection-list.tsx';
import type { Follower, Link } from './follow.ts';
import { countText } from './format.ts';
import { complaint, status } from './status.ts';
import { isFailed, type ConnectionTable, type Row } from './table.ts';

/** How often the table is drawn anew, ms: often enough to be live, rare enough to be read. */
const drawMs = 250;

interface Props {
  readonly table: ConnectionTable;
  readonly follower: Follower;
}

/** The whole page: where it stands, what was seen and lost, the filter and the table. */
export function Page({ table, follower }: Props): JSX.Element {
  const now = useClock(table);
  const [filter, setFilter] = useState('');
  const [failedOnly, setFailedOnly] = useState(false);
  const [frozen, setFrozen] = useState<readonly Row[] | undefined>(undefined);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => focusOnSlash(input), []);

  const words = useMemo(() => filter.toLowerCase().split(/\s+/).filter(Boolean), [filter]);
  const current = useMemo(
    () => selected(table, words, failedOnly),
    [table.version, words, failedOnly],
  );
  const rows = frozen ?? current;
  const nodes = status.value?.nodes.length ?? 1;
  return (
    <main>
      <header>
        <h1>netstatd</h1>
        <Banner follower={follower} now={now} />
      </header>
      <Counters
        follower={follower}
        open={table.open}
        closed={table.closed}
        refused={table.refused}
      />
      <form class="tools" role="search" onSubmit={(event) => event.preventDefault()}>
        <label>
          <span>Filter</span>
          <input
            type="search"
            ref={input}
            value={filter}
            placeholder="address, port, process, pod, state… ( / )"
            spellcheck={false}
            onInput={(event) => setFilter(event.currentTarget.value)}
          />
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={failedOnly}
            onChange={(event) => setFailedOnly(event.currentTarget.checked)}
          />
          <span>Failed only</span>
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={frozen !== undefined}
            onChange={(event) => setFrozen(event.currentTarget.checked ? current : undefined)}
          />
          <span>Hold still</span>
        </label>
        <output>
          {countText(rows.length)} of {countText(table.open + table.closed)} shown
        </output>
      </form>
      <ConnectionList
        rows={rows}
        now={now}
        showNode={nodes > 1}
        emptyReason={emptyReason(table, follower.link.value, now)}
      />
    </main>
  );
}

/** The page's time, ms since 1970; each tick expires closed rows and draws what changed. */
function useClock(table: ConnectionTable): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      const time = Date.now();
      table.expire(time);
      setNow(time);
    }, drawMs);
    return () => clearInterval(timer);
  }, [table]);
  return now;
}

/** Rows in which every word occurs, newest first. */
function selected(table: ConnectionTable, words: readonly string[], failedOnly: boolean): Row[] {
  const rows: Row[] = [];
  for (const row of table.rows()) {
    if (failedOnly && !isFailed(row)) continue;
    if (words.every((word) => row.search.includes(word))) rows.push(row);
  }
  return rows.reverse();
}

/** An empty table always says why. */
function emptyReason(table: ConnectionTable, link: Link, now: number): string {
  const known = table.open + table.closed;
  if (known > 0) return `None of the ${countText(known)} connections matches the filter.`;
  if (link.state !== 'live') return linkText(link, now);
  return complaint(status.value) ?? 'No connection is open. The next one appears here at once.';
}

/** `/` goes to the filter from anywhere on the page. */
function focusOnSlash(input: { readonly current: HTMLInputElement | null }): () => void {
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== '/' || event.target === input.current) return;
    event.preventDefault();
    input.current?.focus();
  };
  addEventListener('keydown', onKey);
  return () => removeEventListener('keydown', onKey);
}
