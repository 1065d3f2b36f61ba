import type { RuntimeContainer } from '@netstatd/containers';
import { fromRow, type EventOf, type EventRow, type EventType } from '@netstatd/events';
import { eventSchemas } from '@netstatd/events';
import { CgroupIndex, ProcFs } from '@netstatd/procfs';
import {
  BatchWriter,
  CgroupKind,
  Direction,
  encodeCgroup,
  encodeMark,
  encodeProcess,
  encodeSocket,
  MarkKind,
  ProcessKind,
  RecordFlag,
  RecordLayout,
  RecordType,
  SocketKind,
} from '@netstatd/records';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Enricher } from './enricher.ts';
import { Host } from './host.ts';
import type { Limits } from './limits.ts';
import type { RuntimeSource } from './runtime-source.ts';
import { snapshotRows } from './snapshot-rows.ts';

export const HOST_NETNS = 4026531833;
/** Boot of the machine in the tests, milliseconds since 1970. */
const BOOT_MS = 1_700_000_000_000;

type SocketFields = Parameters<typeof encodeSocket>[1];
type ProcessFields = Parameters<typeof encodeProcess>[1];

/** A process as tests name it; what records say of it follows. */
export interface Actor {
  readonly pid: number;
  readonly startNs: number;
  readonly comm: string;
  readonly cgroupId?: number;
}

export const ip4 = (text: string): Uint8Array => Uint8Array.from(text.split('.').map(Number));

/** The end of a connection: client 10.0.0.1:40000 to server 10.0.0.2:80, seen by the client unless told otherwise. */
const CLIENT = { localAddress: ip4('10.0.0.1'), localPort: 40000 };
const SERVER = { remoteAddress: ip4('10.0.0.2'), remotePort: 80 };
const TUPLE = { family: 2, protocol: 6, netns: HOST_NETNS, ...CLIENT, ...SERVER };

export const ownedBy = ({ pid, startNs, comm, cgroupId }: Actor): SocketFields => ({
  pid,
  uid: 1000,
  ownerStartNs: startNs,
  comm,
  cgroupId: cgroupId ?? 1,
});

/** A socket record at `ms` after boot; with an owner, the flag says so. */
export function socket(
  kind: number,
  ms: number,
  cookie: number,
  fields: SocketFields = {},
  flags = 0,
): Uint8Array {
  const owner = fields.pid === undefined ? 0 : RecordFlag.OWNER;
  const head = { kind, timeNs: ms * 1e6, flags: flags | owner };
  return encodeSocket(head, { ...TUPLE, cookie, ...fields });
}

/** The usual records of a TCP connection, by what happened. */
export const tcp = {
  connecting: (ms: number, cookie: number, owner: Actor, fields: SocketFields = {}) =>
    socket(SocketKind.CONNECTING, ms, cookie, {
      ...{ localPort: 0, state: 2, direction: Direction.OUTBOUND },
      ...ownedBy(owner),
      ...fields,
    }),
  established: (ms: number, cookie: number, owner: Actor, fields: SocketFields = {}) =>
    socket(SocketKind.ESTABLISHED, ms, cookie, {
      ...{ state: 1, direction: Direction.OUTBOUND, handshakeMicros: 250 },
      ...ownedBy(owner),
      ...fields,
    }),
  inbound: (ms: number, cookie: number, fields: SocketFields = {}) =>
    socket(SocketKind.ESTABLISHED, ms, cookie, {
      ...{ state: 1, direction: Direction.INBOUND },
      ...fields,
    }),
  accepted: (ms: number, cookie: number, owner: Actor, fields: SocketFields = {}) =>
    socket(SocketKind.ACCEPTED, ms, cookie, {
      ...{ state: 1, direction: Direction.INBOUND },
      ...ownedBy(owner),
      ...fields,
    }),
  closed: (ms: number, cookie: number, fields: SocketFields = {}) =>
    socket(SocketKind.CLOSED, ms, cookie, {
      ...{ state: 7, durationMicros: 5000, bytesSent: 10, bytesReceived: 20, closeSide: 1 },
      ...fields,
    }),
  listening: (ms: number, cookie: number, owner: Actor, fields: SocketFields = {}, flags = 0) =>
    socket(
      SocketKind.LISTENING,
      ms,
      cookie,
      { state: 10, remotePort: 0, ...ownedBy(owner), ...fields },
      flags,
    ),
  unlistened: (ms: number, cookie: number) => socket(SocketKind.UNLISTENED, ms, cookie),
};

export const process = {
  forked: (ms: number, actor: Actor, ppid: number) =>
    encodeProcess({ kind: ProcessKind.FORKED, timeNs: ms * 1e6 }, described(actor, ppid)),
  executed: (ms: number, actor: Actor, exe: string, ppid = 1) =>
    encodeProcess(
      { kind: ProcessKind.EXECUTED, timeNs: ms * 1e6 },
      { ...described(actor, ppid), exe },
    ),
  exited: (ms: number, actor: Actor) =>
    encodeProcess({ kind: ProcessKind.EXITED, timeNs: ms * 1e6 }, described(actor, 1)),
  exists: (ms: number, actor: Actor, exe: string) =>
    encodeProcess(
      { kind: ProcessKind.EXISTS, timeNs: ms * 1e6, flags: RecordFlag.SNAPSHOT },
      { ...described(actor, 1), exe },
    ),
};

function described({ pid, startNs, comm, cgroupId }: Actor, ppid: number): ProcessFields {
  return { pid, ppid, startNs, comm, cgroupId: cgroupId ?? 1, netns: HOST_NETNS };
}

export const cgroup = {
  made: (ms: number, cgroupId: number, path: string, flags = 0) =>
    encodeCgroup({ kind: CgroupKind.MADE, timeNs: ms * 1e6, flags }, { cgroupId, path }),
  removed: (ms: number, cgroupId: number, path: string) =>
    encodeCgroup({ kind: CgroupKind.REMOVED, timeNs: ms * 1e6 }, { cgroupId, path }),
};

/** Stands for /proc and the cgroup tree where a test has none. */
const NOWHERE = join(tmpdir(), 'netstatd-nowhere');

/** An enricher fed by hand: /proc and cgroups are empty, time passes when told. */
export class Harness {
  readonly rows: EventRow[] = [];
  readonly requests: string[] = [];
  readonly enricher: Enricher;
  writer = new BatchWriter(1n);
  nowMs = 0;
  lostBefore = 0;

  constructor(
    options: {
      acceptWaitMs?: number;
      limits?: Partial<Limits>;
      procRoot?: string;
      legacyCgroups?: boolean;
      runtime?: RuntimeSource;
      containerWaitMs?: number;
    } = {},
  ) {
    const procfs = new ProcFs(options.procRoot ?? NOWHERE);
    this.enricher = new Enricher({
      emit: (row) => this.rows.push(row),
      requestResync: (reason) => this.requests.push(reason),
      waits: { next: () => 1000, reset: () => undefined },
      host: new Host({
        procfs: { hostNetns: () => HOST_NETNS, kernelRelease: () => '6', bootId: () => 'b' },
        addresses: () => ['127.0.0.1', '10.0.0.9'],
        version: '0',
      }),
      procfs,
      cgroups: new CgroupIndex(NOWHERE, () => this.nowMs),
      legacyCgroups: options.legacyCgroups ?? options.procRoot !== undefined,
      acceptWaitMs: options.acceptWaitMs ?? 100,
      containerWaitMs: options.containerWaitMs ?? 200,
      ...(options.runtime && { runtime: options.runtime }),
      node: 'node',
      limits: options.limits ?? {},
    });
  }

  /** A batch as the collector would send it. */
  batch(...records: Uint8Array[]): Uint8Array {
    const wallOffsetNs = BigInt(BOOT_MS) * 1_000_000n;
    return this.writer.batch(records, { wallOffsetNs, lostBefore: this.lostBefore });
  }

  /** Sends records in one batch; returns what came of it. */
  send(...records: Uint8Array[]): Event[] {
    return this.during(() => this.enricher.read(this.batch(...records), this.nowMs));
  }

  /** Sends a whole snapshot, taken at `ms`. */
  snapshot(ms: number, ...records: Uint8Array[]): Event[] {
    const sockets = records.filter((record) => record[RecordLayout.type] === RecordType.SOCKET);
    return this.send(...this.marked(ms, sockets.length, ...records));
  }

  /** The records of a snapshot of `sockets` sockets, with its marks. */
  marked(ms: number, sockets: number, ...records: Uint8Array[]): Uint8Array[] {
    return [
      encodeMark({ kind: MarkKind.SNAPSHOT_BEGIN, timeNs: ms * 1e6 }),
      ...records,
      encodeMark({ kind: MarkKind.SNAPSHOT_END, timeNs: ms * 1e6 }, { sockets }),
    ];
  }

  /** Lets time pass, in steps of a tick. */
  wait(ms: number): Event[] {
    return this.during(() => {
      for (const end = this.nowMs + ms; this.nowMs < end;) {
        this.nowMs = Math.min(end, this.nowMs + 20);
        this.enricher.tick(this.nowMs);
      }
    });
  }

  /** A runtime describes a container. */
  describe(container: RuntimeContainer): Event[] {
    return this.during(() => this.enricher.describe(container));
  }

  /** A runtime has removed a container, and all that happened before has been read. */
  undescribe(id: string): Event[] {
    return this.during(() => {
      this.enricher.undescribe(id, 0);
      this.enricher.tick(this.nowMs);
    });
  }

  /** The state as a client gets it that comes now. */
  state(filter: Readonly<Record<string, string[]>> = {}): Event[] {
    return [...snapshotRows(this.enricher, 'node', { v: 1, filter }, 0)].map(toEvent);
  }

  during(action: () => void): Event[] {
    const from = this.rows.length;
    action();
    return this.rows.slice(from).map(toEvent);
  }
}

/** Any event, its fields as tests look at them. */
export type Event = Readonly<Record<string, unknown>> & { readonly type: EventType };

/** The event of a row, checked against its schema. */
export function toEvent(row: EventRow): Event {
  const event = fromRow(row, 'node');
  eventSchemas[event.type].parse(event);
  return event;
}

/** The connection events among others. */
export function connectionsOf(events: readonly Event[]): Event[] {
  return events.filter(({ type }) => type.startsWith('connection.'));
}

/** Types, with states, in short: what happened, in order. */
export function storyOf(events: readonly Event[]): string[] {
  return events.map(({ type, state }) =>
    type === 'connection.event'
      ? String(state)
      : type === 'connection.accepted'
        ? 'accepted'
        : type,
  );
}

export type ConnectionEvent = EventOf<'connection.event'>;
