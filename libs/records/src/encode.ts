import {
  CgroupLayout,
  HostLayout,
  MarkLayout,
  ProcessLayout,
  RECORD_FACTS_BYTES,
  RecordFlag,
  RecordLayout,
  RecordType,
  SocketLayout,
} from './generated/layout.ts';
import type { CgroupView, MarkView, ProcessView, SocketView } from './views.ts';

/** What every record has; `timeNs` is CLOCK_MONOTONIC. */
export interface RecordHead {
  readonly kind: number;
  readonly timeNs?: number;
  readonly flags?: number;
  readonly cpu?: number;
}

type Fields<View> = Partial<Omit<View, 'show'>>;
type SocketFields = Omit<Fields<SocketView>, 'localAddress' | 'remoteAddress'> & {
  readonly localAddress?: Uint8Array;
  readonly remoteAddress?: Uint8Array;
};

class Encoder {
  readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(type: number, size: number, head: RecordHead) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
    this.u16(RecordLayout.size, size);
    this.u8(RecordLayout.type, type);
    this.u8(RecordLayout.kind, head.kind);
    this.u16(RecordLayout.cpu, head.cpu);
    this.u16(RecordLayout.flags, head.flags);
    this.u64(RecordLayout.timeNs, head.timeNs);
  }
  u64(at: number, value = 0): void {
    this.view.setBigUint64(at, BigInt(value), true);
  }
  u32(at: number, value = 0): void {
    this.view.setUint32(at, value, true);
  }
  u16(at: number, value = 0): void {
    this.view.setUint16(at, value, true);
  }
  u8(at: number, value = 0): void {
    this.view.setUint8(at, value);
  }
  /** Cuts what does not fit before `end`. */
  raw(at: number, end: number, value: Uint8Array | string = ''): void {
    const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    this.bytes.set(bytes.subarray(0, end - at), at);
  }
}

/** A socket record as the kernel writes it; addresses are 4 or 16 bytes. For replays and tests. */
export function encodeSocket(head: RecordHead, fields: SocketFields): Uint8Array {
  const to = new Encoder(RecordType.SOCKET, SocketLayout.BYTES, head);
  to.u64(SocketLayout.cookie, fields.cookie);
  to.u64(SocketLayout.cgroupId, fields.cgroupId);
  to.u64(SocketLayout.ownerStartNs, fields.ownerStartNs);
  to.u64(SocketLayout.bytesSent, fields.bytesSent);
  to.u64(SocketLayout.bytesReceived, fields.bytesReceived);
  to.u64(SocketLayout.durationNs, (fields.durationMicros ?? 0) * 1000);
  to.u32(SocketLayout.handshakeUs, fields.handshakeMicros);
  to.u32(SocketLayout.rttUs, fields.rttMicros);
  to.u32(SocketLayout.retransmits, fields.retransmits);
  to.u32(SocketLayout.pid, fields.pid);
  to.u32(SocketLayout.uid, fields.uid);
  to.u32(SocketLayout.netns, fields.netns);
  to.u32(SocketLayout.error, fields.error);
  to.u16(SocketLayout.localPort, fields.localPort);
  to.u16(SocketLayout.remotePort, fields.remotePort);
  to.raw(SocketLayout.localAddress, SocketLayout.remoteAddress, fields.localAddress);
  to.raw(SocketLayout.remoteAddress, SocketLayout.comm, fields.remoteAddress);
  to.raw(SocketLayout.comm, SocketLayout.family, fields.comm);
  to.u8(SocketLayout.family, fields.family);
  to.u8(SocketLayout.protocol, fields.protocol);
  to.u8(SocketLayout.state, fields.state);
  to.u8(SocketLayout.direction, fields.direction);
  to.u8(SocketLayout.closeSide, fields.closeSide);
  return to.bytes;
}

/** A process record: full when `exe` is given, else short. For replays and tests. */
export function encodeProcess(head: RecordHead, fields: Fields<ProcessView>): Uint8Array {
  const { exe } = fields;
  const size = exe === undefined ? ProcessLayout.path : ProcessLayout.BYTES;
  const path = exe?.split('/').filter(Boolean).reverse().join('\0') ?? '';
  const room = ProcessLayout.BYTES - ProcessLayout.path - 1;
  const cut = new TextEncoder().encode(path).length > room ? RecordFlag.PATH_CUT : 0;
  const to = new Encoder(RecordType.PROCESS, size, { ...head, flags: (head.flags ?? 0) | cut });
  to.u64(ProcessLayout.startNs, fields.startNs);
  to.u64(ProcessLayout.cgroupId, fields.cgroupId);
  to.u32(ProcessLayout.pid, fields.pid);
  to.u32(ProcessLayout.ppid, fields.ppid);
  to.u32(ProcessLayout.uid, fields.uid);
  to.u32(ProcessLayout.netns, fields.netns);
  to.raw(ProcessLayout.comm, ProcessLayout.path, fields.comm);
  to.raw(ProcessLayout.path, size, path);
  return to.bytes;
}

/** A cgroup record. For replays and tests. */
export function encodeCgroup(head: RecordHead, fields: Fields<CgroupView>): Uint8Array {
  const to = new Encoder(RecordType.CGROUP, CgroupLayout.BYTES, head);
  to.u64(CgroupLayout.cgroupId, fields.cgroupId);
  to.raw(CgroupLayout.path, CgroupLayout.BYTES, fields.path);
  return to.bytes;
}

/** A mark record. For replays and tests. */
export function encodeMark(head: RecordHead, fields: Fields<MarkView> = {}): Uint8Array {
  const to = new Encoder(RecordType.MARK, MarkLayout.BYTES, head);
  to.u64(MarkLayout.sockets, fields.sockets);
  to.u64(MarkLayout.processes, fields.processes);
  return to.bytes;
}

/**
 * A host record.
 * @param facts JSON
 * @throws RangeError when it is too long for a record
 */
export function encodeHost(head: Omit<RecordHead, 'kind'>, facts: string): Uint8Array {
  const bytes = new TextEncoder().encode(facts);
  if (bytes.byteLength >= RECORD_FACTS_BYTES)
    throw new RangeError(`facts of ${bytes.byteLength} bytes do not fit in a record`);
  const size = HostLayout.facts + (bytes.byteLength & ~7) + 8;
  const to = new Encoder(RecordType.HOST, size, { ...head, kind: 0 });
  to.raw(HostLayout.facts, size, bytes);
  return to.bytes;
}
