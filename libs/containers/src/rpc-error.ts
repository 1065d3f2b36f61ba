/** Status codes of gRPC that make a difference here. */
export const RpcStatus = {
  Cancelled: 1,
  DeadlineExceeded: 4,
  NotFound: 5,
  Unimplemented: 12,
  Unavailable: 14,
} as const;

/** A call that failed; the message begins with what was asked. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: number;

  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }

  /** Whether the connection is of no more use, rather than this one question. */
  get lost(): boolean {
    return (
      this.code === RpcStatus.Cancelled ||
      this.code === RpcStatus.DeadlineExceeded ||
      this.code === RpcStatus.Unavailable
    );
  }
}
