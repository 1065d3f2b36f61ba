import type { Bus } from '@netstatd/bus';
import type { Metrics } from '@netstatd/service';
import { eventsByState } from './losses-of-services.ts';
import type { ConntrackCounters } from './stream/conntrack.ts';
import type { Nodes } from './view.ts';

/** What the metrics are read from. */
export interface MetricSources {
  readonly nodes: Nodes;
  /** The node whose events are counted; those of others are at their own gateways. */
  readonly nodeName: string;
  readonly counters: ConntrackCounters;
  readonly bus: Bus;
}

/** Registers what `/metrics` says beyond what every service says. */
export function registerMetrics(metrics: Metrics, sources: MetricSources): void {
  const { nodes, nodeName, counters, bus } = sources;
  const ownEvents = () => {
    const entry = nodes.board.get(nodeName, 'enricher');
    return [...eventsByState(entry === undefined ? [] : [entry])];
  };
  metrics.counterOf(
    'netstatd_events_total',
    'connection events of this node, by protocol and address family as Linux numbers them',
    () => ownEvents().map(([{ protocol, family }, value]) => [{ protocol, family }, value]),
    ['protocol', 'family'],
  );
  metrics.counterOf(
    'netstatd_events_by_state',
    'the same by the state that was reached',
    ownEvents,
    ['protocol', 'family', 'state'],
  );
  metrics.gaugeOf('netstatd_gateway_clients', 'WebSocket clients', () => counters.clients);
  const count = (name: string, help: string, read: () => number) =>
    metrics.counterOf(`netstatd_gateway_${name}_total`, help, read);
  count('frames', 'WebSocket frames sent', () => counters.frames);
  count('sent_events', 'events sent, all clients together', () => counters.events);
  count('client_dropped_events', 'events that slow clients lost', () => counters.clientDropped);
  count('snapshots', 'opening states sent', () => counters.snapshots);
  count('snapshot_failures', 'opening states not given', () => counters.snapshotFailures);
  count('refused_upgrades', 'WebSocket requests refused', () => counters.refused);
  count('missed_events', 'events lost on the bus, by its gaps', () => nodes.missedEvents);
  count('bus_received_bytes', 'bytes received from the bus', () => bus.stats().receivedBytes);
}
