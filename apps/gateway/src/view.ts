import type { Bus } from '@netstatd/bus';
import type { Log } from '@netstatd/service';
import { StatusBoard, type BoardEntry } from '@netstatd/stream';
import type { Node, NodeStatus, Service } from './rest/answers.ts';
import { lossesOf, publishedEvents } from './losses-of-services.ts';
import { NodeSource } from './stream/node-source.ts';

/** A node came, came back, or fell silent. */
export interface NodeChange {
  readonly type: 'node.up' | 'node.lost';
  readonly node: string;
  readonly reason?: string;
}

/** The nodes that this gateway can follow, and what their services say of themselves. */
export class Nodes {
  readonly board: StatusBoard;
  readonly #sources = new Map<string, NodeSource>();
  readonly #bus: Bus;
  readonly #log: Log;
  readonly #followers = new Set<(change: NodeChange) => void>();

  constructor(options: { readonly bus: Bus; readonly log: Log; readonly heartbeatMs?: number }) {
    this.#bus = options.bus;
    this.#log = options.log;
    const { bus, log, heartbeatMs } = options;
    this.board = new StatusBoard({
      bus,
      log,
      node: '*',
      onChange: ({ kind, node, service }) => {
        if (service !== 'enricher' || kind === 'restarted') return;
        for (const follower of this.#followers) follower(this.#stateOf(node));
      },
      ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
    });
  }

  source(node: string): NodeSource {
    let source = this.#sources.get(node);
    if (source === undefined) {
      source = new NodeSource({ node, bus: this.#bus, log: this.#log });
      this.#sources.set(node, source);
    }
    return source;
  }

  /** Events that are known to have been lost on the bus, of all nodes. */
  get missedEvents(): number {
    let sum = 0;
    for (const source of this.#sources.values()) sum += source.missedEvents;
    return sum;
  }

  /** Calls `follower` when a node's enricher is heard or falls silent. */
  follow(follower: (change: NodeChange) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** Names of all nodes of which any service was heard, in order. */
  names(): string[] {
    return [...new Set(this.board.entries().map(({ status }) => status.node))].sort();
  }

  /** A node's state as its last change would have told it. */
  #stateOf(node: string): NodeChange {
    const reason = this.silence(node);
    return reason === undefined ? { type: 'node.up', node } : { type: 'node.lost', node, reason };
  }

  /** The states of all nodes whose enricher was heard. */
  present(): NodeChange[] {
    const heard = this.names().filter((node) => this.board.get(node, 'enricher') !== undefined);
    return heard.map((node) => this.#stateOf(node));
  }

  /** Why nothing is to be expected of a node, in words; undefined when it is heard. */
  silence(node: string): string | undefined {
    const entry = this.board.get(node, 'enricher');
    if (entry === undefined) return 'its enricher has not been heard since this gateway started';
    if (!entry.silent) return undefined;
    return `its enricher is silent since ${new Date(entry.heardAt).toISOString()}`;
  }

  close(): void {
    this.board.close();
    for (const source of this.#sources.values()) source.close();
  }
}

/** What one listener shows: its own node, or all that are heard. */
export class View {
  readonly kind: 'cluster' | 'node';
  readonly #nodes: Nodes;
  /** The only node of a node's view. */
  readonly #own: string | undefined;

  constructor(nodes: Nodes, own?: string) {
    this.#nodes = nodes;
    this.#own = own;
    this.kind = own === undefined ? 'cluster' : 'node';
  }

  /** Names of the nodes, in order. */
  nodes(): string[] {
    return this.#own === undefined ? this.#nodes.names() : [this.#own];
  }

  source(node: string): NodeSource {
    return this.#nodes.source(node);
  }

  /** Nodes to follow from the start; the own node is followed whether it is heard or not. */
  present(): NodeChange[] {
    return this.#own === undefined ? this.#nodes.present() : [{ type: 'node.up', node: this.#own }];
  }

  /** Calls `follower` when a node comes or goes; a view of one node has no such changes. */
  follow(follower: (change: NodeChange) => void): () => void {
    return this.#own === undefined ? this.#nodes.follow(follower) : () => undefined;
  }

  nodeItems(): Node[] {
    return this.#grouped().map(({ head, entries }) => ({
      ...head,
      ready: entries.length > 0 && entries.every(({ silent, status }) => !silent && status.ready),
      versions: Object.fromEntries(entries.map(({ status }) => [status.service, status.version])),
    }));
  }

  nodeStatuses(): NodeStatus[] {
    return this.#grouped().map(({ head, entries }) => {
      const seen = publishedEvents(entries);
      return {
        ...head,
        ...(seen === undefined ? {} : { seen }),
        lost: lossesOf(entries),
        services: entries.map(serviceOf),
      };
    });
  }

  #grouped() {
    const all = this.#nodes.board.entries();
    return this.nodes().map((nodeName) => {
      const entries = all
        .filter(({ status }) => status.node === nodeName)
        .sort((a, b) => (a.status.service < b.status.service ? -1 : 1));
      const reason = this.#nodes.silence(nodeName);
      const known = entries.length > 0;
      const state: Node['state'] = !known ? 'unheard' : reason === undefined ? 'up' : 'lost';
      const heardAt = Math.max(...entries.map((entry) => entry.heardAt));
      const head = {
        nodeName,
        state,
        ...(reason === undefined ? {} : { reason }),
        ...(known ? { heardAt: new Date(heardAt).toISOString() } : {}),
      };
      return { head, entries };
    });
  }
}

function serviceOf({ status, heardAt, silent }: BoardEntry): Service {
  const { service, version, pid, startedAt, ready, reason, counters, capture, info } = status;
  return {
    ...{ service, version, pid, ready, counters },
    ...(reason === undefined ? {} : { reason }),
    ...(capture === undefined ? {} : { capture }),
    ...(info === undefined ? {} : { info }),
    startedAt: new Date(startedAt).toISOString(),
    heardAt: new Date(heardAt).toISOString(),
    silent,
  };
}
