import type { CloseReason } from '@netstatd/events';
import { CloseSide } from '@netstatd/records';

/** By errno, include/uapi/asm-generic/errno.h: what ended a connection that did not end orderly. */
const byErrno = new Map<number, CloseReason>([
  [32, 'reset'], // EPIPE
  [100, 'unreachable'], // ENETDOWN
  [101, 'unreachable'], // ENETUNREACH
  [104, 'reset'], // ECONNRESET
  [110, 'timeout'], // ETIMEDOUT
  [111, 'refused'], // ECONNREFUSED
  [112, 'unreachable'], // EHOSTDOWN
  [113, 'unreachable'], // EHOSTUNREACH
]);

/** Why a connection ended: by its error, else by who sent the first FIN; undefined when neither is known. */
export function closeReason(errno: number, side: number): CloseReason | undefined {
  const reason = errno === 0 ? undefined : byErrno.get(errno);
  if (reason !== undefined) return reason;
  if (side === CloseSide.LOCAL) return 'local';
  return side === CloseSide.REMOTE ? 'remote' : undefined;
}
