import {
  BATCH_MAGIC,
  BatchFlag,
  BatchLayout,
  CgroupLayout,
  HostLayout,
  MarkLayout,
  ProcessLayout,
  RECORD_LAYOUT_VERSION,
  RecordLayout,
  RecordType,
  SocketLayout,
} from './generated/layout.ts';
import { CgroupView, HostView, MarkView, ProcessView, readU64, SocketView } from './views.ts';

/** Why bytes are not a batch of records; `message` says it with the numbers. */
export interface BatchError {
  readonly reason: 'short' | 'magic' | 'version' | 'length' | 'record' | 'count';
  readonly message: string;
}

/** What a reader has read so far; `errors` by their reason. */
export interface ReadCounters {
  batches: number;
  records: number;
  /** Records of a type that this reader does not know, stepped over. */
  unknown: number;
  errors: Record<BatchError['reason'], number>;
}

/** The header of the first recordings ends here; what follows was added, and is zero when it is missing. */
const HEADER_BYTES: number = BatchLayout.readNs;
const FLAGS_AT: number = BatchLayout.flags;
const RECORD_HEADER_BYTES: number = RecordLayout.BYTES;

/** The shortest record that has all fields of its type, by type; 0 for unknown types. */
const leastBytes = new Uint16Array(256);
leastBytes[RecordType.SOCKET] = SocketLayout.BYTES;
leastBytes[RecordType.PROCESS] = ProcessLayout.path;
leastBytes[RecordType.CGROUP] = CgroupLayout.path;
leastBytes[RecordType.MARK] = MarkLayout.BYTES;
leastBytes[RecordType.HOST] = HostLayout.facts;

/**
 * Steps through the records of a batch (struct batch_header and what follows it) without making an
 * object per record: `while (reader.next())` and read `type`, `kind` and the view of that type.
 * Its input comes from outside: a batch that is no batch gives an error, never an exception.
 */
export class BatchReader {
  readonly socket = new SocketView();
  readonly process = new ProcessView();
  readonly cgroup = new CgroupView();
  readonly mark = new MarkView();
  readonly host = new HostView();
  readonly counters: ReadCounters = {
    batches: 0,
    records: 0,
    unknown: 0,
    errors: { short: 0, magic: 0, version: 0, length: 0, record: 0, count: 0 },
  };
  /** What stopped `next()` before the end of the batch. */
  error: BatchError | undefined;

  private view: DataView = new DataView(new ArrayBuffer(HEADER_BYTES));
  private at = 0;
  private following = 0;
  private headerSize = 0;
  private end = 0;
  private read = 0;
  private wallMicrosBase = 0;
  private wallNanosRest = 0;

  /** Begins a batch. Its bytes must stay untouched while it is read. */
  load(bytes: Uint8Array): BatchError | undefined {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.error = undefined;
    this.at = this.following = this.end = this.read = this.headerSize = 0;
    const { view } = this;
    const fail = (reason: BatchError['reason'], message: string) => this.fail(reason, message);
    if (bytes.byteLength < HEADER_BYTES) {
      return fail('short', `batch of ${bytes.byteLength} bytes, its header has ${HEADER_BYTES}`);
    }
    const magic = view.getUint32(BatchLayout.magic, true);
    if (magic !== BATCH_MAGIC) return fail('magic', `batch starts with 0x${magic.toString(16)}`);
    const version = view.getUint16(BatchLayout.version, true);
    if (version !== RECORD_LAYOUT_VERSION) {
      const known = RECORD_LAYOUT_VERSION;
      return fail('version', `batch has layout version ${version}, this reader knows ${known}`);
    }
    const headerSize = view.getUint16(BatchLayout.headerSize, true);
    const payload = view.getUint32(BatchLayout.payloadBytes, true);
    if (headerSize < HEADER_BYTES || headerSize + payload !== bytes.byteLength) {
      const sizes = `${headerSize} + ${payload} of ${bytes.byteLength}`;
      return fail('length', `batch header and payload do not fit: ${sizes} bytes`);
    }
    const offset = view.getBigInt64(BatchLayout.wallOffsetNs, true);
    this.wallMicrosBase = Number(offset / 1000n);
    this.wallNanosRest = Number(offset % 1000n);
    this.headerSize = this.following = headerSize;
    this.end = bytes.byteLength;
    this.counters.batches++;
    return undefined;
  }

  /** Goes to the next record of a known type; false at the end or, with `error` set, at a bad one. */
  next(): boolean {
    const { view, end } = this;
    for (;;) {
      const at = this.following;
      if (at >= end) return this.finish();
      const left = end - at;
      const size = left < RECORD_HEADER_BYTES ? 0 : view.getUint16(at + RecordLayout.size, true);
      if (size < RECORD_HEADER_BYTES || size > left || size % 8 !== 0) {
        return this.stop('record', `record of ${size} bytes with ${left} bytes left`);
      }
      this.read++;
      this.following = at + size;
      const type = view.getUint8(at + RecordLayout.type);
      const least = leastBytes[type] ?? 0;
      if (least === 0) {
        this.counters.unknown++;
        continue;
      }
      if (size < least) {
        return this.stop('record', `record of type ${type} has ${size} bytes, needs ${least}`);
      }
      this.at = at;
      this.counters.records++;
      if (type === RecordType.SOCKET) this.socket.show(view, at);
      else if (type === RecordType.PROCESS) this.process.show(view, at);
      else if (type === RecordType.CGROUP) this.cgroup.show(view, at);
      else if (type === RecordType.MARK) this.mark.show(view, at);
      else this.host.show(view, at);
      return true;
    }
  }

  /** CLOCK_REALTIME nanoseconds at the collector's start, rounded: a key, not a time. */
  get epoch(): number {
    return readU64(this.view, BatchLayout.epoch);
  }
  /** Number of this batch in its epoch, from 1. */
  get seq(): number {
    return readU64(this.view, BatchLayout.seq);
  }
  /** Records in this batch. */
  get records(): number {
    return this.view.getUint32(BatchLayout.records, true);
  }
  /** Records in all earlier batches of the epoch. */
  get recordsBefore(): number {
    return readU64(this.view, BatchLayout.recordsBefore);
  }
  /** Records the kernel had no room for, in the epoch so far. */
  get lostBefore(): number {
    return readU64(this.view, BatchLayout.lostBefore);
  }
  /** CLOCK_MONOTONIC nanoseconds when the batch was read from its source; 0 when not known. */
  get readNs(): number {
    return this.headerSize >= FLAGS_AT ? readU64(this.view, BatchLayout.readNs) : 0;
  }
  /** Whether the batch was played from a recording: what it tells of may have been another machine. */
  get replayed(): boolean {
    if (this.headerSize < FLAGS_AT + 4) return false;
    return (this.view.getUint32(FLAGS_AT, true) & BatchFlag.REPLAYED) !== 0;
  }

  /** One of RecordType. */
  get type(): number {
    return this.view.getUint8(this.at + RecordLayout.type);
  }
  /** One of SocketKind, ProcessKind, CgroupKind or MarkKind, by `type`; 0 for HOST. */
  get kind(): number {
    return this.view.getUint8(this.at + RecordLayout.kind);
  }
  /** A sum of RecordFlag. */
  get flags(): number {
    return this.view.getUint16(this.at + RecordLayout.flags, true);
  }
  get cpu(): number {
    return this.view.getUint16(this.at + RecordLayout.cpu, true);
  }
  /** CLOCK_MONOTONIC nanoseconds. */
  get timeNs(): number {
    return readU64(this.view, this.at + RecordLayout.timeNs);
  }
  /** Microseconds since 1970. */
  get timeMicros(): number {
    return this.wallMicros(this.timeNs);
  }

  /** Microseconds since 1970 of a CLOCK_MONOTONIC time in nanoseconds. */
  wallMicros(timeNs: number): number {
    return this.wallMicrosBase + Math.floor((timeNs + this.wallNanosRest) / 1000);
  }

  private finish(): boolean {
    if (this.error === undefined && this.end > 0 && this.read !== this.records) {
      return this.stop('count', `batch says ${this.records} records and has ${this.read}`);
    }
    return false;
  }

  private stop(reason: BatchError['reason'], message: string): false {
    this.fail(reason, message);
    this.following = this.end;
    return false;
  }

  private fail(reason: BatchError['reason'], message: string): BatchError {
    this.counters.errors[reason]++;
    this.error = { reason, message };
    return this.error;
  }
}
