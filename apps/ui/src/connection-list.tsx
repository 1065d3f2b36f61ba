import { useEffect, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { bytesText, durationText } from './format.ts';
import { closedStayMs, failedStayMs, isFailed, type Row } from './table.ts';

/** Heights in CSS pixels, as app.css lays a row out; narrow rows have two lines. */
const rowHeight = 30;
const narrowRowHeight = 74;
const narrow = matchMedia('(max-width: 720px)');
/** Rows kept in the DOM above and below the visible ones. */
const overscan = 6;

const columns = [
  ...['State', 'Direction', 'Protocol', 'Local', 'Remote', 'Process'],
  ...['Container', 'Age', 'Sent', 'Received', 'Reason'],
];

const arrows: Record<string, string> = { outbound: '→ out', inbound: '← in' };

interface Props {
  readonly rows: readonly Row[];
  readonly now: number;
  readonly showNode: boolean;
  /** Shown in place of rows when there are none. */
  readonly emptyReason: string;
}

/** The connections as a table of which only the visible rows are in the DOM. */
export function ConnectionList({ rows, now, showNode, emptyReason }: Props): JSX.Element {
  const viewport = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [lineHeight, setLineHeight] = useState(narrow.matches ? narrowRowHeight : rowHeight);

  useEffect(() => {
    const element = viewport.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    const onNarrow = () => setLineHeight(narrow.matches ? narrowRowHeight : rowHeight);
    observer.observe(element);
    narrow.addEventListener('change', onNarrow);
    return () => {
      observer.disconnect();
      narrow.removeEventListener('change', onNarrow);
    };
  }, []);

  const first = Math.max(0, Math.min(Math.floor(top / lineHeight), rows.length) - overscan);
  const last = Math.min(rows.length, Math.ceil((top + height) / lineHeight) + overscan);
  return (
    <div
      class="table"
      role="table"
      aria-label="Connections"
      aria-rowcount={rows.length + 1}
      tabIndex={0}
      ref={viewport}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <div class="row head" role="row" aria-rowindex={1}>
        {columns.map((name) => (
          <span key={name} role="columnheader">
            {name}
          </span>
        ))}
      </div>
      {rows.length === 0 && (
        <p class="empty" role="status">
          {emptyReason}
        </p>
      )}
      <div class="rows" role="rowgroup" style={{ height: `${rows.length * lineHeight}px` }}>
        {rows.slice(first, last).map((row, index) => (
          <Line
            key={row.key}
            row={row}
            now={now}
            index={first + index}
            offset={(first + index) * lineHeight}
            showNode={showNode}
          />
        ))}
      </div>
    </div>
  );
}

interface LineProps {
  readonly row: Row;
  readonly now: number;
  readonly index: number;
  readonly offset: number;
  readonly showNode: boolean;
}

function Line({ row, now, index, offset, showNode }: LineProps): JSX.Element {
  const failed = isFailed(row);
  const status = failed ? 'failed' : row.closedAt === undefined ? 'open' : 'closed';
  const age = row.durationMicros ?? Math.max(0, (row.closedAt ?? now) - row.since) * 1000;
  return (
    <div
      class={`row line ${status}`}
      role="row"
      aria-rowindex={index + 2}
      style={{ transform: `translateY(${offset}px)`, opacity: String(fading(row, failed, now)) }}
    >
      <span role="cell" class="state">
        {row.state}
      </span>
      <span role="cell" class="direction">
        {arrows[row.direction] ?? row.direction}
      </span>
      <span role="cell" class="protocol">
        {row.protocol}
      </span>
      <Cell name="local" text={row.local} />
      <Cell name="remote" text={row.remote} />
      <span role="cell" class="process" title={row.process}>
        {row.process === '' && row.pid === undefined ? (
          <i>owner unknown</i>
        ) : (
          <span>
            <bdi>{row.process}</bdi>
          </span>
        )}
        {row.pid !== undefined && <b>{row.pid}</b>}
      </span>
      <Cell name="container" text={showNode ? `${row.node} ${row.container}` : row.container} />
      <span role="cell" class="age">
        {durationText(age)}
      </span>
      <span role="cell" class="sent">
        {bytesText(row.bytesSent)}
      </span>
      <span role="cell" class="received">
        {bytesText(row.bytesReceived)}
      </span>
      <span role="cell" class="reason">
        {row.reason}
      </span>
    </div>
  );
}

function Cell({ name, text }: { readonly name: string; readonly text: string }): JSX.Element {
  return (
    <span role="cell" class={name} title={text}>
      {text}
    </span>
  );
}

/** Opacity of a row: a closed one is paler in its second half of being shown. */
function fading(row: Row, failed: boolean, now: number): number {
  if (row.closedAt === undefined) return 1;
  const stay = failed ? failedStayMs : closedStayMs;
  const left = 1 - (now - row.closedAt) / stay;
  return Math.round(Math.min(1, Math.max(0.25, left * 2)) * 20) / 20;
}
