/** Labels of one container in UTF-8: with all else, its row stays far below the bus's longest message. */
const LABELS_MAX_BYTES = 64 << 10;

/** The labels that fit, in their order; undefined when there are none. Those of pods stand first already. */
export function boundLabels(
  labels: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> | undefined {
  const entries = Object.entries(labels);
  if (entries.length === 0) return undefined;
  let left = LABELS_MAX_BYTES;
  const fitting = entries.filter(([key, value]) => {
    const bytes = Buffer.byteLength(key) + Buffer.byteLength(value);
    if (bytes > left) return false;
    left -= bytes;
    return true;
  });
  return fitting.length === entries.length ? labels : Object.fromEntries(fitting);
}
