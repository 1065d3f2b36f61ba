const units = ['B', 'KB', 'MB', 'GB', 'TB'] as const;

/** Bytes as people read them: `999 B`, `1.2 MB`; empty when unknown. */
export function bytesText(bytes: number | undefined): string {
  if (bytes === undefined) return '';
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

/** A duration as its largest one or two units: `120 µs`, `3.4 s`, `2 h 5 min`. */
export function durationText(micros: number): string {
  if (micros < 1_000) return `${Math.max(0, Math.round(micros))} µs`;
  if (micros < 1_000_000) return `${Math.round(micros / 1_000)} ms`;
  const seconds = micros / 1_000_000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Whole numbers with thin separators: `12 345`. */
export const countText = (count: number): string =>
  String(count).replace(/\B(?=(\d{3})+$)/g, '\u202f');
