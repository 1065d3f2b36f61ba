import {
  CgroupLayout,
  HostLayout,
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
 * shows the next record after the reader's `next()`. Getters call the DataView directly: each helper in
 * between counts against what the compiler is willing to inline.
 */
abstract class View {
  protected view: DataView = new DataView(new ArrayBuffer(512));
  protected at = 0;

  /** Moves the window; called by the reader only. */
  show(view: DataView, at: number): void {
    this.view = view;
    this.at = at;
  }

  protected bytes(offset: number, end: number): Uint8Array {
    return new Uint8Array(this.view.buffer, this.view.byteOffset + this.at + offset, end - offset);
  }
}

/** struct socket_record. Zero means "not known", as in the C definition. */
export class SocketView extends View {
  /** The key of a connection on its node. */
  get cookie(): number {
    return readU64(this.view, this.at + SocketLayout.cookie);
  }
  get cgroupId(): number {
    return readU64(this.view, this.at + SocketLayout.cgroupId);
  }
  /** CLOCK_BOOTTIME nanoseconds. */
  get ownerStartNs(): number {
    return readU64(this.view, this.at + SocketLayout.ownerStartNs);
  }
  get bytesSent(): number {
    return readU64(this.view, this.at + SocketLayout.bytesSent);
  }
  get bytesReceived(): number {
    return readU64(this.view, this.at + SocketLayout.bytesReceived);
  }
  get durationMicros(): number {
    return Math.floor(readU64(this.view, this.at + SocketLayout.durationNs) / 1000);
  }
  get handshakeMicros(): number {
    return this.view.getUint32(this.at + SocketLayout.handshakeUs, true);
  }
  get rttMicros(): number {
    return this.view.getUint32(this.at + SocketLayout.rttUs, true);
  }
  get retransmits(): number {
    return this.view.getUint32(this.at + SocketLayout.retransmits, true);
  }
  /** The owner's thread group, in the initial pid namespace. */
  get pid(): number {
    return this.view.getUint32(this.at + SocketLayout.pid, true);
  }
  get uid(): number {
    return this.view.getUint32(this.at + SocketLayout.uid, true);
  }
  /** Inode of the network namespace. */
  get netns(): number {
    return this.view.getUint32(this.at + SocketLayout.netns, true);
  }
  /** Positive errno at CLOSED. */
  get error(): number {
    return this.view.getUint32(this.at + SocketLayout.error, true);
  }
  get localPort(): number {
    return this.view.getUint16(this.at + SocketLayout.localPort, true);
  }
  get remotePort(): number {
    return this.view.getUint16(this.at + SocketLayout.remotePort, true);
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
    return this.view.getUint8(this.at + SocketLayout.family);
  }
  /** IPPROTO_TCP 6 or IPPROTO_UDP 17. */
  get protocol(): number {
    return this.view.getUint8(this.at + SocketLayout.protocol);
  }
  /** The kernel's TCP state. */
  get state(): number {
    return this.view.getUint8(this.at + SocketLayout.state);
  }
  /** One of Direction. */
  get direction(): number {
    return this.view.getUint8(this.at + SocketLayout.direction);
  }
  /** One of CloseSide. */
  get closeSide(): number {
    return this.view.getUint8(this.at + SocketLayout.closeSide);
  }

  private address(offset: number): string {
    const texts =
      this.view.getUint8(this.at + SocketLayout.family) === AF_INET ? ipv4Texts : ipv6Texts;
    return texts.text(this.view, this.at + offset);
  }
}

/** struct process_record, full or short. */
export class ProcessView extends View {
  /** CLOCK_BOOTTIME nanoseconds. */
  get startNs(): number {
    return readU64(this.view, this.at + ProcessLayout.startNs);
  }
  get cgroupId(): number {
    return readU64(this.view, this.at + ProcessLayout.cgroupId);
  }
  get pid(): number {
    return this.view.getUint32(this.at + ProcessLayout.pid, true);
  }
  get ppid(): number {
    return this.view.getUint32(this.at + ProcessLayout.ppid, true);
  }
  get uid(): number {
    return this.view.getUint32(this.at + ProcessLayout.uid, true);
  }
  get netns(): number {
    return this.view.getUint32(this.at + ProcessLayout.netns, true);
  }
  get comm(): string {
    return commTexts.text(this.view, this.at + ProcessLayout.comm);
  }
  /** The executable's path; undefined in a short record, for kernel threads, and when it was cut. */
  get exe(): string | undefined {
    const size = this.view.getUint16(this.at + RecordLayout.size, true);
    if (
      size <= SHORT_PROCESS_BYTES ||
      this.view.getUint16(this.at + RecordLayout.flags, true) & RecordFlag.PATH_CUT
    )
      return;
    return pathOfComponents(this.bytes(ProcessLayout.path, size));
  }
}

/** struct cgroup_record. */
export class CgroupView extends View {
  get cgroupId(): number {
    return readU64(this.view, this.at + CgroupLayout.cgroupId);
  }
  /** Below the root of the v2 hierarchy; undefined when it was cut. */
  get path(): string | undefined {
    return this.view.getUint16(this.at + RecordLayout.flags, true) & RecordFlag.PATH_CUT
      ? undefined
      : this.tail;
  }
  /** The path, or its last part when it was cut: enough to tell a container. */
  get tail(): string {
    return cString(
      this.bytes(CgroupLayout.path, this.view.getUint16(this.at + RecordLayout.size, true)),
    );
  }
}

/** struct mark_record. */
export class MarkView extends View {
  /** Socket records in the snapshot, at SNAPSHOT_END. */
  get sockets(): number {
    return readU64(this.view, this.at + MarkLayout.sockets);
  }
  /** Process records in the snapshot, at SNAPSHOT_END. */
  get processes(): number {
    return readU64(this.view, this.at + MarkLayout.processes);
  }
}

/** struct host_record. */
export class HostView extends View {
  /** JSON, from outside like everything else. */
  get facts(): string {
    return cString(
      this.bytes(HostLayout.facts, this.view.getUint16(this.at + RecordLayout.size, true)),
    );
  }
}
