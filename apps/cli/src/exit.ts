/** Exit codes of every command; listed in `--help`. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, killed: 130 } as const;

/** Why a command cannot do what was asked: shown as one line, without a stack. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code: number;

  constructor(message: string, code: number = exitCodes.failed) {
    super(message);
    this.code = code;
  }
}
