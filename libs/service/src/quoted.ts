/** Text from outside, quoted for one line of a terminal: nothing in it can act on the terminal. */
export function quoted(text: string): string {
  const short = text.length > 120 ? `${text.slice(0, 120)}…` : text;
  // JSON leaves DEL, the C1 controls and the Unicode line and direction marks as they are.
  return JSON.stringify(short).replace(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
