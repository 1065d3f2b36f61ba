import type { Metrics } from '@netstatd/service';
import type { EnricherService } from './service.ts';
import type { TableUse } from './table.ts';

/** The enricher's own metrics; what each service has is there already. */
export function registerMetrics(metrics: Metrics, service: EnricherService): void {
  metrics.gaugeOf(
    'netstatd_enricher',
    'counters of the enricher, and the sizes of its tables, by name',
    () => Object.entries(service.counters()).map(([name, value]) => [{ name }, value]),
    ['name'],
  );
  const each = (read: (use: TableUse) => number) => () =>
    service.enricher.tables().map((use) => [{ table: use.table }, read(use)] as const);
  const name = 'netstatd_enricher_table';
  metrics.gaugeOf(
    `${name}_entries`,
    'entries of a table',
    each(({ entries }) => entries),
    ['table'],
  );
  metrics.gaugeOf(
    `${name}_limit`,
    'how many a table may hold',
    each(({ limit }) => limit),
    ['table'],
  );
  metrics.counterOf(
    `${name}_evictions_total`,
    'entries of a table that had to go before their time, because it was full',
    each(({ evicted }) => evicted),
    ['table'],
  );
}
