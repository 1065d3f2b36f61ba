import type { JSX } from 'preact';
import type { Follower, Link } from './follow.ts';
import { countText } from './format.ts';
import { complaint, reservations, status, statusError, type NodeStatus } from './status.ts';

/** One sentence on where the page stands; also the reason of an empty table. */
export function linkText(link: Link, now: number): string {
  switch (link.state) {
    case 'connecting':
      return 'Connecting to the gateway…';
    case 'waiting':
      return `Connected; waiting for the node's opening state…`;
    case 'snapshot':
      return `Taking in the opening state: ${countText(link.received)} connections so far…`;
    case 'live':
      return 'Live';
    case 'behind':
      return 'Behind: events were lost on the way here; a fresh state is coming…';
    case 'offline': {
      const seconds = Math.max(0, Math.ceil((link.retryAt - now) / 1000));
      return `Offline: the gateway does not answer; next try in ${seconds} s.`;
    }
  }
}

interface Props {
  readonly follower: Follower;
  readonly now: number;
}

/** The state of the link, what a service complains of, and which nodes are silent. */
export function Banner({ follower, now }: Props): JSX.Element {
  const link = follower.link.value;
  const trouble =
    link.state === 'offline' ? undefined : (statusError.value ?? complaint(status.value));
  const state = link.state === 'live' && trouble !== undefined ? 'behind' : link.state;
  return (
    <div class={`banner ${state}`} role="status" aria-live="polite">
      <span class="dot" aria-hidden="true" />
      <span>
        {linkText(link, now)}
        {trouble !== undefined && ` — ${trouble}`}
        {[...follower.nodesDown.value].map(([node, reason]) => ` — ${node} is silent: ${reason}`)}
      </span>
      {reservations(status.value).map(({ what, missed }) => (
        <details key={what}>
          <summary>{what}: not all is shown</summary>
          Not shown: {missed}.
        </details>
      ))}
      {link.state === 'offline' && (
        <button type="button" onClick={() => follower.connect()}>
          Try now
        </button>
      )}
    </div>
  );
}

const total = (nodes: readonly NodeStatus[], place: string): number =>
  nodes.reduce((sum, node) => sum + (node.lost[place] ?? 0), 0);

interface CountersProps {
  readonly follower: Follower;
  readonly open: number;
  readonly closed: number;
  readonly refused: number;
}

/** What was seen, and what was lost in each place on the way here. */
export function Counters({ follower, open, closed, refused }: CountersProps): JSX.Element {
  const nodes = status.value?.nodes ?? [];
  const known = status.value !== undefined;
  const lost = follower.lost.value;
  const seen = nodes.reduce((sum, node) => sum + (node.seen ?? 0), 0);
  return (
    <dl class="counters" aria-label="Seen and lost">
      <Counter name="open" value={open} />
      <Counter name="just closed" value={closed} />
      <Counter name="events seen" value={known ? seen : undefined} />
      <Counter name="events here" value={follower.received.value} />
      <Counter name="lost in kernel" value={known ? total(nodes, 'kernel') : undefined} bad />
      <Counter name="lost on bus" value={known ? total(nodes, 'bus') : undefined} bad />
      <Counter name="lost to this page" value={lost.client ?? 0} bad />
      {follower.lostUncounted.value > 0 && (
        <Counter name="losses of unknown size" value={follower.lostUncounted.value} bad />
      )}
      {refused > 0 && <Counter name="open, beyond this page's room" value={refused} bad />}
    </dl>
  );
}

interface CounterProps {
  readonly name: string;
  /** Undefined: not known (yet), which is not zero. */
  readonly value: number | undefined;
  readonly bad?: boolean;
}

function Counter({ name, value, bad = false }: CounterProps): JSX.Element {
  return (
    <div class={bad && (value ?? 0) > 0 ? 'bad' : ''}>
      <dt>{name}</dt>
      <dd>{value === undefined ? '–' : countText(value)}</dd>
    </div>
  );
}
