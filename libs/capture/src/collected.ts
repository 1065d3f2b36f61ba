import { join } from 'node:path';
import { BatchReader, BatchWriter, MarkKind, RecordType } from '@netstatd/records';
import { Capture } from './capture.ts';
import type { CaptureOptions } from './capture.ts';

const root = join(__dirname, '..', '..', '..');

/** Where the build leaves the two files of a capture. */
export const built = {
  addonPath: join(root, 'libs/capture/.output/netstatd_capture.node'),
  objectPath: join(root, 'bpf/.output/netstatd.bpf.o'),
};

/** A socket record with all its fields, as a plain object. */
export type Socket = ReturnType<typeof copySocket>;

/** The fields of the current record, which must be of a socket. */
export function copySocket(reader: BatchReader) {
  const { socket } = reader;
  return {
    kind: reader.kind,
    flags: reader.flags,
    cookie: socket.cookie,
    cgroupId: socket.cgroupId,
    bytesSent: socket.bytesSent,
    bytesReceived: socket.bytesReceived,
    durationMicros: socket.durationMicros,
    pid: socket.pid,
    uid: socket.uid,
    netns: socket.netns,
    error: socket.error,
    localPort: socket.localPort,
    remotePort: socket.remotePort,
    localAddress: socket.localAddress,
    remoteAddress: socket.remoteAddress,
    comm: socket.comm,
    direction: socket.direction,
    closeSide: socket.closeSide,
  };
}

/** A capture for tests: keeps every socket record of some network namespaces as an object. */
export class Collected {
  readonly capture: Capture;
  readonly sockets: Socket[] = [];
  /** Socket records of all namespaces. */
  seen = 0;
  readonly #namespaces = new Set<number>();
  readonly #reader = new BatchReader();
  readonly #writer = new BatchWriter(1n);

  constructor(namespaces: { inode: number }[], options: CaptureOptions = {}) {
    for (const { inode } of namespaces) this.#namespaces.add(inode);
    this.capture = Capture.open({ ...built, options });
  }

  start(): void {
    this.capture.start((buffer, payloadBytes, records) => {
      this.sockets.push(...this.#read(buffer, payloadBytes, records).sockets);
    });
  }

  /** The socket records of a snapshot, and what its marks say. */
  snapshot(): { sockets: Socket[]; processes: number; all: number; marks: number[] } {
    const whole = { sockets: [] as Socket[], processes: 0, all: 0, marks: [] as number[] };
    for (const { buffer, payloadBytes, records } of this.capture.snapshot()) {
      const part = this.#read(buffer, payloadBytes, records);
      whole.sockets.push(...part.sockets);
      whole.marks.push(...part.marks);
      if (part.end) [whole.all, whole.processes] = [part.end.sockets, part.end.processes];
    }
    return whole;
  }

  #read(buffer: Buffer, payloadBytes: number, records: number) {
    const facts = { records, lostBefore: 0, wallOffsetNs: this.capture.wallOffsetNs() };
    const sealed = this.#writer.seal(buffer, this.capture.headroom, payloadBytes, facts);
    const failure = this.#reader.load(sealed);
    if (failure) throw new Error(JSON.stringify(failure));
    const sockets: Socket[] = [];
    const marks: number[] = [];
    let end: { sockets: number; processes: number } | undefined;
    while (this.#reader.next()) {
      const { type, kind, socket, mark } = this.#reader;
      if (type === RecordType.SOCKET) {
        this.seen++;
        if (this.#namespaces.has(socket.netns)) sockets.push(copySocket(this.#reader));
      } else if (type === RecordType.MARK) {
        marks.push(kind);
        if (kind === MarkKind.SNAPSHOT_END)
          end = { sockets: mark.sockets, processes: mark.processes };
      }
    }
    if (this.#reader.error) throw new Error(JSON.stringify(this.#reader.error));
    return { sockets, marks, end };
  }
}
