import type { Bus } from '@netstatd/bus';
import type { Metrics } from '@netstatd/service';

/** The collector's own metrics; what each service has is there already. */
export function registerMetrics(
  metrics: Metrics,
  counters: () => Record<string, number>,
  bus: Bus,
): void {
  const counter = (name: string, help: string, key: string) =>
    metrics.counterOf(`netstatd_collector_${name}_total`, help, () => {
      return counters()[key] ?? 0;
    });
  counter('records', 'records read from the source', 'records');
  counter('batches', 'batches of records made', 'batches');
  counter('published_batches', 'batches handed to the bus', 'published');
  counter('dropped_batches', 'batches the bus did not take', 'droppedBatches');
  counter('dropped_records', 'records in batches the bus did not take', 'droppedRecords');
  counter('snapshots', 'snapshots taken', 'snapshots');
  counter('recorded_bytes', 'bytes written to the recording', 'recordedBytes');
  counter('untracked_datagrams', 'datagrams beyond the flow table', 'flowsUntracked');
  metrics.counterOf(
    'netstatd_collector_lost_records_total',
    'records the kernel had no room for',
    () => counters()['lost:kernel'] ?? 0,
  );
  metrics.gaugeOf(
    'netstatd_collector_ring_bytes',
    'bytes that wait in the ring buffer',
    () => counters().ringBytesUsed ?? 0,
  );
  // Only the kernel's table has a limit: what /proc shows needs no table.
  const table = (what: string, help: string, key: string) =>
    metrics.gaugeOf(
      `netstatd_collector_table_${what}`,
      help,
      () => {
        const { [key]: value, flowsLimit } = counters();
        return value === undefined || flowsLimit === undefined ? [] : [[{ table: 'flows' }, value]];
      },
      ['table'],
    );
  table('entries', 'entries of a table of the kernel, when it was swept last', 'flows');
  table('limit', 'how many it may hold; datagrams beyond are untracked', 'flowsLimit');
  metrics.gaugeOf('netstatd_bus_connected', '1 while the bus is there', () =>
    Number(bus.connected),
  );
}
