import {
  CgroupLayout,
  MarkLayout,
  ProcessLayout,
  RecordFlag,
  RecordLayout,
  SocketLayout,
} from './generated/layout.ts';
import { cString, ipv4Text, ipv6Text, pathOfComponents } from './text.ts';
import { TextCache } from './text-cache.ts';

const AF_INET = 2;
const SHORT_PROCESS_BYTES: number = ProcessLayout.path;
const ipv4Texts = new TextCache(4, 16384, ipv4Text);
const ipv6Texts = new TextCache(16, 4096, ipv6Text);
const commTexts = new TextCache(16, 4096, cString);

/** A 64-bit integer as a double: exact up to 2^53, which cookies, inodes and counts stay below. */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 4294967296 + view.getUint32(at, true);
}

/**
 * A window on the reader's current record. Its getters decode on access, nothing is copied, and it
 * shows the next record after the reader's `next()`.
 */
abstract class View {
  protected view: DataView = new DataView(new ArrayBuffer(512));
  protected at = 0;

  /** Moves the window; called by the reader only. */
  show(view: DataView, at: number): void {
    this.view = view;
    this.at = at;
  }

  protected u64(offset: number): number {
    return readU64(this.view, this.at + offset);
  }

  protected u32(offset: number): number {
    return this.view.getUint32(this.at + offset, true);
  }

  protected u16(offset: number): number {
    return this.view.getUint16(this.at + offset, true);
  }

  protected u8(offset: number): number {
    return this.view.getUint8(this.at + offset);
  }

  protected bytes(offset: number, end: number): Uint8Array {
    return new Uint8Array(this.view.buffer, this.view.byteOffset + this.at + offset, end - offset);
  }
}

/** struct socket_record. Zero means "not known", as in the C definition. */
export class SocketView extends View {
  /** The key of a connection on its node. */
  get cookie(): number {
    return this.u64(SocketLayout.cookie);
  }
  get cgroupId(): number {
    return this.u64(SocketLayout.cgroupId);
  }
  /** CLOCK_BOOTTIME nanoseconds. */
  get ownerStartNs(): number {
    return this.u64(SocketLayout.ownerStartNs);
  }
  get bytesSent(): number {
    return this.u64(SocketLayout.bytesSent);
  }
  get bytesReceived(): number {
    return this.u64(SocketLayout.bytesReceived);
  }
  get durationMicros(): number {
    return Math.floor(this.u64(SocketLayout.durationNs) / 1000);
  }
  get handshakeMicros(): number {
    return this.u32(SocketLayout.handshakeUs);
  }
  get rttMicros(): number {
    return this.u32(SocketLayout.rttUs);
  }
  get retransmits(): number {
    return this.u32(SocketLayout.retransmits);
  }
  /** The owner's thread group, in the initial pid namespace. */
  get pid(): number {
    return this.u32(SocketLayout.pid);
  }
  get uid(): number {
    return this.u32(SocketLayout.uid);
  }
  /** Inode of the network namespace. */
  get netns(): number {
    return this.u32(SocketLayout.netns);
  }
  /** Positive errno at CLOSED. */
  get error(): number {
    return this.u32(SocketLayout.error);
  }
  get localPort(): number {
    return this.u16(SocketLayout.localPort);
  }
  get remotePort(): number {
    return this.u16(SocketLayout.remotePort);
  }
  get localAddress(): string {
    return this.address(SocketLayout.localAddress);
  }
  get remoteAddress(): string {
    return this.address(SocketLayout.remoteAddress);
  }
  /** Of the owner, raw: may hold control characters. */
  get comm(): string {
    return commTexts.text(this.view, this.at + SocketLayout.comm);
  }
  /** AF_INET 2 or AF_INET6 10. */
  get family(): number {
    return this.u8(SocketLayout.family);
  }
  /** IPPROTO_TCP 6 or IPPROTO_UDP 17. */
  get protocol(): number {
    return this.u8(SocketLayout.protocol);
  }
  /** The kernel's TCP state. */
  get state(): number {
    return this.u8(SocketLayout.state);
  }
  /** One of Direction. */
  get direction(): number {
    return this.u8(SocketLayout.direction);
  }
  /** One of CloseSide. */
  get closeSide(): number {
    return this.u8(SocketLayout.closeSide);
  }

  private address(offset: number): string {
    const texts = this.u8(SocketLayout.family) === AF_INET ? ipv4Texts : ipv6Texts;
    return texts.text(this.view, this.at + offset);
  }
}

/** struct process_record, full or short. */
export class ProcessView extends View {
  /** CLOCK_BOOTTIME nanoseconds. */
  get startNs(): number {
    return this.u64(ProcessLayout.startNs);
  }
  get cgroupId(): number {
    return this.u64(ProcessLayout.cgroupId);
  }
  get pid(): number {
    return this.u32(ProcessLayout.pid);
  }
  get ppid(): number {
    return this.u32(ProcessLayout.ppid);
  }
  get uid(): number {
    return this.u32(ProcessLayout.uid);
  }
  get netns(): number {
    return this.u32(ProcessLayout.netns);
  }
  get comm(): string {
    return commTexts.text(this.view, this.at + ProcessLayout.comm);
  }
  /** The executable's path; undefined in a short record, for kernel threads, and when it was cut. */
  get exe(): string | undefined {
    const size = this.u16(RecordLayout.size);
    if (size <= SHORT_PROCESS_BYTES || this.u16(RecordLayout.flags) & RecordFlag.PATH_CUT) return;
    return pathOfComponents(this.bytes(ProcessLayout.path, size));
  }
}

/** struct cgroup_record. */
export class CgroupView extends View {
  get cgroupId(): number {
    return this.u64(CgroupLayout.cgroupId);
  }
  /** Below the root of the v2 hierarchy; undefined when it was cut. */
  get path(): string | undefined {
    return this.u16(RecordLayout.flags) & RecordFlag.PATH_CUT ? undefined : this.tail;
  }
  /** The path, or its last part when it was cut: enough to tell a container. */
  get tail(): string {
    return cString(this.bytes(CgroupLayout.path, this.u16(RecordLayout.size)));
  }
}

/** struct mark_record. */
export class MarkView extends View {
  /** Socket records in the snapshot, at SNAPSHOT_END. */
  get sockets(): number {
    return this.u64(MarkLayout.sockets);
  }
  /** Process records in the snapshot, at SNAPSHOT_END. */
  get processes(): number {
    return this.u64(MarkLayout.processes);
  }
}
