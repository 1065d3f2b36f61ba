/** Tables below /proc/<pid>/net that list the sockets of one network namespace. */
export const netTables = ['tcp', 'tcp6', 'udp', 'udp6'] as const;
export type NetTable = (typeof netTables)[number];

/** A socket as a line of such a table shows it, proc_pid_net(5); ends are still in the kernel's hexadecimal. */
export interface NetRow {
  /** `ADDRESS:PORT`, see parseNetEnd. */
  readonly local: string;
  readonly remote: string;
  /** The kernel's TCP state, include/net/tcp_states.h; UDP has 1 when connected and 7 otherwise. */
  readonly state: number;
  /** User that made the socket. */
  readonly uid: number;
  /** Inode of the socket; 0 when no process has a descriptor of it (yet, or any more). */
  readonly inode: number;
}

/** An address and a port. */
export interface NetEnd {
  /** 4 or 16 bytes in network order; IPv4-mapped IPv6 is IPv4. */
  readonly address: Uint8Array;
  readonly port: number;
}

const END = '((?:[0-9A-F]{8}|[0-9A-F]{32}):[0-9A-F]{4})';
const LINE = new RegExp(
  `^ *\\d+: ${END} ${END} ([0-9A-F]{2}) [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:[0-9A-F]+ [0-9A-F]+` +
    ' +(\\d{1,10}) +\\d+ (\\d{1,15})(?: |$)',
);

/** Parses a line of a table; undefined for its heading and for anything else that is no socket. */
export function parseNetLine(line: string): NetRow | undefined {
  const [, local, remote, state, uid, inode] = LINE.exec(line) ?? [];
  if (local === undefined || remote === undefined || state === undefined) return undefined;
  // Both ends come from one table, so they are of one family.
  if (local.length !== remote.length) return undefined;
  return { local, remote, state: parseInt(state, 16), uid: Number(uid), inode: Number(inode) };
}

/**
 * Reads an end of a NetRow. The kernel prints addresses as 32-bit words of this machine's byte order, which is
 * little-endian on all that netstatd is built for.
 */
export function parseNetEnd(end: string): NetEnd {
  const digits = end.length - 5;
  const bytes = new Uint8Array(digits / 2);
  for (let word = 0; word < bytes.length; word += 4) {
    for (let at = 0; at < 4; at++) {
      bytes[word + at] = parseInt(end.slice((word + 3 - at) * 2, (word + 4 - at) * 2), 16);
    }
  }
  return { address: unmapped(bytes), port: parseInt(end.slice(digits + 1), 16) };
}

/** Whether an address is 127.0.0.0/8 or ::1. */
export function isLoopback(address: Uint8Array): boolean {
  if (address.length === 4) return address[0] === 127;
  return address[15] === 1 && address.subarray(0, 15).every((byte) => byte === 0);
}

/** ::ffff:0:0/96 stands for IPv4. */
function unmapped(bytes: Uint8Array): Uint8Array {
  const mapped =
    bytes.length === 16 && bytes[10] === 255 && bytes[11] === 255 && isZero(bytes.subarray(0, 10));
  return mapped ? bytes.slice(12) : bytes;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
