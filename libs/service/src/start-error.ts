/** Why a service cannot start and what to do about it: one line, shown without a stack. */
export class StartError extends Error {
  override readonly name = 'StartError';
}
