import type { ConnectionEvent, NetstatdEvent } from '@netstatd/events';

/** The order of an opening: what a type may not be sent after. */
const RANK: Partial<Record<NetstatdEvent['type'], number>> = {
  'host.info': 0,
  'container.added': 1,
  'process.metainfo': 2,
  'port.listening': 3,
  'connection.event': 4,
  'snapshot.complete': 5,
};

/** What one node's stream has told since its last opening. */
class NodeState {
  opening: boolean;
  /** Events since a host.info that may have begun a new opening. */
  maybe?: NetstatdEvent[];
  rank = 0;
  lagged = false;
  counts: Record<string, number> = {};
  pids = new Set<number>();
  containers = new Set<string>();
  /** States seen, by connection; a UDP flow starts anew after its CLOSE. */
  states = new Map<string, Set<string>>();

  constructor(opening: boolean) {
    this.opening = opening;
  }
}

/**
 * Holds a WebSocket's frames against the rules that every client relies on: the order of the
 * opening, nothing named before it is announced, no state of a connection twice, no gap without a
 * word.
 */
export class ProtocolCheck {
  readonly problems: string[] = [];
  readonly #nodes = new Map<string, NodeState>();
  readonly #announced: boolean;
  readonly #snapshot: boolean;

  /** `announced`: the client's filter lets processes and containers through. */
  constructor(options: { announced: boolean; snapshot: boolean }) {
    this.#announced = options.announced;
    this.#snapshot = options.snapshot;
  }

  take(event: NetstatdEvent): void {
    let node = this.#nodes.get(event.nodeName);
    if (event.type === 'node.up' || event.type === 'node.down' || event.type === 'node.lost') {
      // Of a node that was away, a new opening follows.
      if (node) node.lagged = true;
      return;
    }
    if (!node) {
      node = new NodeState(this.#snapshot);
      this.#nodes.set(event.nodeName, node);
    }
    if (node.maybe) this.#takeMaybe(node, event);
    else if (event.type === 'host.info' && node.lagged) node.maybe = [event];
    else this.#takeCertain(node, event);
  }

  /**
   * After a loss, host.info begins a new opening, or tells that the host has changed: only
   * snapshot.complete, or an event that no opening has, shows which.
   */
  #takeMaybe(node: NodeState, event: NetstatdEvent): void {
    const events = (node.maybe ?? []).concat(event);
    node.maybe = events;
    const [rank, before] = [RANK[event.type], RANK[events.at(-2)?.type ?? event.type] ?? 0];
    const complete = event.type === 'snapshot.complete';
    if (!complete && rank !== undefined && rank >= before) return;
    delete node.maybe;
    const state = complete ? new NodeState(true) : node;
    this.#nodes.set(event.nodeName, state);
    for (const each of events) this.#takeCertain(state, each);
  }

  #takeCertain(node: NodeState, event: NetstatdEvent): void {
    if (node.opening) this.#takeOpening(node, event);
    else if (event.type === 'snapshot.complete')
      this.#complain('an opening that nothing announced', event);
    if (event.type === 'stream.lagged') node.lagged = true;
    if (event.type === 'process.metainfo') node.pids.add(event.pid);
    if (event.type === 'container.added') node.containers.add(event.containerUid);
    if (event.type === 'connection.event') this.#takeState(node, event);
    if (this.#announced) this.#takeNames(node, event);
  }

  #takeOpening(node: NodeState, event: NetstatdEvent): void {
    if (event.type === 'stream.lagged') return;
    // An opening that could not be finished begins again.
    if (event.type === 'host.info') Object.assign(node, new NodeState(true));
    const rank = RANK[event.type];
    if (rank === undefined || rank < node.rank)
      this.#complain('out of order in the opening', event);
    node.rank = rank ?? node.rank;
    node.counts[event.type] = (node.counts[event.type] ?? 0) + 1;
    if (event.type !== 'snapshot.complete') return;
    node.opening = false;
    const { connections, containers, ports } = event;
    const counted = [node.counts['connection.event'], node.counts['container.added']];
    const sent = [...counted, node.counts['port.listening']].map((count) => count ?? 0);
    if (sent.join() !== [connections, containers, ports].join())
      this.#complain(`snapshot.complete counts what was not sent (${sent.join()})`, event);
  }

  #takeState(node: NodeState, event: ConnectionEvent): void {
    const { protocol, state, sockCookie, remoteIP, remotePort } = event;
    if (sockCookie === undefined) {
      if (state !== 'CLOSE') this.#complain('a connection without a cookie', event);
      return;
    }
    const key = protocol === 'UDP' ? `${sockCookie} ${remoteIP} ${remotePort}` : `${sockCookie}`;
    let seen = node.states.get(key) ?? new Set();
    // A socket whose connect has failed may try again; a UDP flow may begin again.
    if (seen.has('CLOSE') && (protocol === 'UDP' || state === 'SYN_SENT')) seen = new Set();
    if (seen.has(state)) this.#complain('a state twice', event);
    else if (seen.has('CLOSE')) this.#complain('a state after CLOSE', event);
    node.states.set(key, seen.add(state));
  }

  #takeNames(node: NodeState, event: NetstatdEvent): void {
    const { pid, containerUid } = event as { pid?: number; containerUid?: string };
    const names = event.type.startsWith('connection.') || event.type.startsWith('port.');
    if (names && pid !== undefined && !node.pids.has(pid))
      this.#complain('a process that was not announced', event);
    if (containerUid !== undefined && !node.containers.has(containerUid))
      this.#complain('a container that was not announced', event);
  }

  #complain(what: string, event: NetstatdEvent): void {
    if (this.problems.length < 20) this.problems.push(`${what}: ${JSON.stringify(event)}`);
  }
}
