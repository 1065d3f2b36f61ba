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
  opening = true;
  rank = 0;
  lagged = false;
  counts: Record<string, number> = {};
  pids = new Set<number>();
  containers = new Set<string>();
  /** States seen, by connection; a UDP flow starts anew after its CLOSE. */
  states = new Map<string, Set<string>>();
}

/**
 * Holds a WebSocket's frames against the rules that every client relies on: the order of the opening, nothing
 * named before it is announced, no state of a connection twice, no gap without a word.
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
    if (!node || event.type === 'host.info') {
      if (node && !node.lagged) this.#complain('an opening that nothing announced', event);
      node = new NodeState();
      node.opening = this.#snapshot;
      this.#nodes.set(event.nodeName, node);
    }
    if (node.opening) this.#takeOpening(node, event);
    if (event.type === 'stream.lagged') node.lagged = true;
    if (event.type === 'process.metainfo') node.pids.add(event.pid);
    if (event.type === 'container.added') node.containers.add(event.containerUid);
    if (event.type === 'connection.event') this.#takeState(node, event);
    if (this.#announced) this.#takeNames(node, event);
  }

  #takeOpening(node: NodeState, event: NetstatdEvent): void {
    if (event.type === 'stream.lagged') return;
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
    const flow = event.protocol === 'UDP' ? `${event.remoteIP} ${event.remotePort}` : '';
    const key = `${event.sockCookie} ${flow}`;
    const seen = node.states.get(key) ?? new Set();
    if (seen.has(event.state)) this.#complain('a state twice', event);
    if (event.protocol === 'TCP' && seen.has('CLOSE')) this.#complain('a state after CLOSE', event);
    node.states.set(key, seen.add(event.state));
    if (event.protocol === 'UDP' && event.state === 'CLOSE') node.states.delete(key);
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
