import { writeSync } from 'node:fs';
import type { ReadStream } from 'node:tty';
import type { Line, Size } from './view.ts';

/** Another screen than the shell's, no cursor, and lines that are cut instead of broken. */
const ENTER = '\u001b[?1049h\u001b[?25l\u001b[?7l';
const LEAVE = '\u001b[0m\u001b[?7h\u001b[?25h\u001b[?1049l';

const STYLES: Record<Line['style'], string> = {
  plain: '',
  head: '\u001b[7m',
  dim: '\u001b[2m',
  warn: '\u001b[33m',
  bold: '\u001b[1m',
};

/** The terminal while it is ours. However the process ends, short of SIGKILL, it is given back. */
export class Screen {
  readonly #out: typeof process.stdout;
  readonly #in: ReadStream;
  readonly #colour: boolean;
  #ours = false;
  /** The size that was drawn for: after a change, what is left of it has to go. */
  #drawn = '';
  readonly #leave = () => this.leave();

  constructor(output: typeof process.stdout, input: ReadStream, colour: boolean) {
    this.#out = output;
    this.#in = input;
    this.#colour = colour;
  }

  get size(): Size {
    const { columns, rows } = this.#out;
    // A terminal that does not tell its size says 0.
    return { columns: columns || 80, rows: rows || 24 };
  }

  enter(): void {
    if (this.#ours) return;
    this.#ours = true;
    process.on('exit', this.#leave);
    if (this.#in.isTTY) this.#in.setRawMode(true);
    this.#drawn = '';
    this.#out.write(ENTER);
  }

  leave(): void {
    if (!this.#ours) return;
    this.#ours = false;
    process.off('exit', this.#leave);
    try {
      if (this.#in.isTTY) this.#in.setRawMode(false);
      // At once and to the end: there may be no later.
      writeSync(this.#out.fd, LEAVE);
    } catch {
      // The terminal has gone, and with it what was to be given back.
    }
  }

  /** Shows these lines, which fill the screen; a terminal that does not take the ones before is not given more. */
  draw(lines: readonly Line[]): void {
    if (!this.#ours || this.#out.writableLength > 0) return;
    const texts = lines.map(({ text, style }) => this.#styled(text, style));
    const size = `${this.size.columns} ${this.size.rows}`;
    const clear = size === this.#drawn ? '' : '\u001b[2J';
    this.#drawn = size;
    this.#out.write(`${clear}\u001b[H${texts.join('\r\n')}`);
  }

  #styled(text: string, style: Line['style']): string {
    const on = this.#colour || style === 'head' ? STYLES[style] : '';
    return on === '' ? text : `${on}${text}\u001b[0m`;
  }
}
