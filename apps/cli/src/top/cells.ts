import { printable } from '@netstatd/events';

/** Characters whose cells terminals disagree about: marks that join others, fillers without a width. */
const JOINING = /[\p{M}\u115f-\u11ff\u3164\ud7b0-\ud7ff\uffa0]/gu;
/** Characters of two cells: East Asian wide and full-width forms, and emoji. */
const WIDE =
  /[\u1100-\u115e\u231a\u231b\u2329\u232a\u2e80-\u303e\u3041-\u4dbf\u4e00-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f000}-\u{1ffff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

/** Text from outside, such that each of its characters takes one or two cells of one line. */
export function cellText(text: string): string {
  return printable(text).replace(
    JOINING,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** Cells that a text made by `cellText` takes. */
export function cellWidth(text: string): number {
  // Nearly all names are plain, and this is asked for each cell of each frame.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += WIDE.test(character) ? 2 : 1;
  return width;
}

/** The text in exactly `width` cells: filled with blanks, or cut with an ellipsis. */
export function inCells(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const taken = cellWidth(text);
  if (taken <= width) {
    const blanks = ' '.repeat(width - taken);
    return align === 'left' ? text + blanks : blanks + text;
  }
  if (width <= 0) return '';
  let cut = '';
  let used = 0;
  for (const character of text) {
    const cells = cellWidth(character);
    if (used + cells > width - 1) break;
    cut += character;
    used += cells;
  }
  return `${cut}…${' '.repeat(width - 1 - used)}`;
}
