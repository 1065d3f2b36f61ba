/** Why a request on the bus failed. */
export type BusErrorCode = 'DISCONNECTED' | 'NO_RESPONDER' | 'TIMEOUT' | 'TOO_LARGE';

/** A request on the bus that failed. */
export class BusError extends Error {
  override readonly name = 'BusError';

  constructor(
    readonly code: BusErrorCode,
    message: string,
  ) {
    super(message);
  }
}
