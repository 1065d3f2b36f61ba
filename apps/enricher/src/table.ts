/** How full one of the enricher's tables is. */
export interface TableUse {
  /** Its name in the metrics. */
  readonly table: string;
  readonly entries: number;
  /** It never holds more. */
  readonly limit: number;
  /** Entries that had to go before their time. */
  readonly evicted: number;
}

export function useOf(
  table: string,
  { size, max, evicted }: { readonly size: number; readonly max: number; readonly evicted: number },
): TableUse {
  return { table, entries: size, limit: max, evicted };
}
