const utf8 = new TextDecoder();

/** The bytes up to the first NUL (or all of them) as UTF-8; what is not UTF-8 becomes U+FFFD. */
export function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return utf8.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/**
 * An absolute path from its components, last one first, each ended by NUL ("curl\0bin\0usr\0").
 * Undefined when there is none.
 */
export function pathOfComponents(bytes: Uint8Array): string | undefined {
  let path = '';
  let start = 0;
  while (start < bytes.length) {
    const end = bytes.indexOf(0, start);
    if (end <= start) break;
    path = `/${utf8.decode(bytes.subarray(start, end))}${path}`;
    start = end + 1;
  }
  return path === '' ? undefined : path;
}

/** Dotted quad of the first 4 bytes. */
export function ipv4Text(bytes: Uint8Array): string {
  return `${bytes[0] ?? 0}.${bytes[1] ?? 0}.${bytes[2] ?? 0}.${bytes[3] ?? 0}`;
}

const isMapped = (groups: readonly number[]): boolean =>
  groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);

/** The text of RFC 5952: lower case, the longest run of two or more zero groups as `::`. */
export function ipv6Text(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => {
    return ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0);
  });
  if (isMapped(groups)) return ipv4Text(bytes.subarray(12));
  let best = 0;
  let bestStart = -1;
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groups[end] === 0) end++;
    if (end - start > Math.max(best, 1)) {
      best = end - start;
      bestStart = start;
    }
  }
  const hex = groups.map((group) => group.toString(16));
  if (bestStart < 0) return hex.join(':');
  return `${hex.slice(0, bestStart).join(':')}::${hex.slice(bestStart + best).join(':')}`;
}
