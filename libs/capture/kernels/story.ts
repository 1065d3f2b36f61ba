import {
  BatchReader,
  BatchWriter,
  MarkKind,
  readRecordedHead,
  RecordFlag,
  RecordType,
} from '@netstatd/records';
import { copySocket } from '../src/collected.ts';
import type { Socket } from '../src/collected.ts';
import type { Hook } from '../src/addon.ts';

/** A line of a process that makes traffic: what it is and did. */
export interface Truth {
  event: string;
  role?: string;
  pid: number;
  port: number;
  localPort: number;
  peerPort: number;
}

/** A line of a process, of a recorder, or about a cgroup. */
interface Line extends Partial<Truth>, Partial<Hook> {
  records?: number;
  data?: string;
  lost?: number;
  failure?: string;
  id?: number;
}

export interface Process {
  kind: number;
  pid: number;
  exe: string | undefined;
}

export interface Cgroup {
  kind: number;
  path: string | undefined;
}

/** Records as they were told: `first` snapshot, what happened, the `last` snapshot. */
export class Recorded {
  readonly hooks: Record<string, Hook> = {};
  readonly first: Socket[] = [];
  readonly ring: Socket[] = [];
  readonly processes: Process[] = [];
  readonly cgroups: Cgroup[] = [];
  /** How many snapshots began. */
  snapshots = 0;
  /** Records the kernel had no room for. */
  lost: number | undefined;
  /** Why there is nothing. */
  failure: string | undefined;
  #last: Socket[] = [];
  readonly #reader = new BatchReader();

  get last(): readonly Socket[] {
    return this.#last;
  }

  add(batch: Uint8Array): void {
    const reader = this.#reader;
    const failure = reader.load(batch);
    if (failure) throw new Error(failure.message);
    while (reader.next()) this.#note(reader);
    if (reader.error) throw new Error(reader.error.message);
  }

  #note(reader: BatchReader): void {
    const { type, kind } = reader;
    if (type === RecordType.MARK && kind === MarkKind.SNAPSHOT_BEGIN) {
      this.snapshots++;
      this.#last = [];
    } else if (type === RecordType.SOCKET) {
      const socket = copySocket(reader);
      if (!(reader.flags & RecordFlag.SNAPSHOT)) this.ring.push(socket);
      else if (this.snapshots === 1) this.first.push(socket);
      else this.#last.push(socket);
    } else if (type === RecordType.PROCESS) {
      const { pid, exe } = reader.process;
      this.processes.push({ kind, pid, exe });
    } else if (type === RecordType.CGROUP) {
      this.cgroups.push({ kind, path: reader.cgroup.path });
    }
  }
}

/** What an emulated machine told, see `guest/init`. */
export class Story {
  readonly release: string;
  readonly #sections = new Map<string, string>();

  constructor(told: string) {
    for (const section of told.replace(/\r/g, '').split(/^== /m).slice(1)) {
      const [name = ''] = section.split('\n', 1);
      this.#sections.set(name, section.slice(name.length + 1).trim());
    }
    this.release = this.text('kernel');
    const failure = this.#lines('failure')[0]?.failure;
    if (failure)
      throw new Error(`on ${this.release}: ${failure}\n${told.replace(/"data":".*"/g, '')}`);
  }

  /** All that a process said, or a file held. */
  text(section: string): string {
    return this.#sections.get(section) ?? '';
  }

  #lines(section: string): Line[] {
    const lines = this.text(section).split('\n');
    return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Line);
  }

  /** What a process said of one kind. */
  all(process: string, event: string): Truth[] {
    return this.#lines(process).filter((line) => line.event === event) as Truth[];
  }

  /** The first of these. */
  one(process: string, event: string, role?: string): Truth {
    const found = this.all(process, event).find((line) => !role || line.role === role);
    if (!found) throw new Error(`${process} did not say ${event}`);
    return found;
  }

  /** Id of the cgroup of its own that each process ran in. */
  cgroup(process: string): number {
    const found = this.#lines('cgroups').find(({ name }) => name === process);
    if (found?.id === undefined) throw new Error(`no cgroup of ${process}`);
    return found.id;
  }

  /** What a recorder (recorder.c) told. */
  recorded(recorder: string): Recorded {
    const recorded = new Recorded();
    for (const line of this.#lines(recorder)) {
      if (line.name) recorded.hooks[line.name] = line as Hook;
      if (line.data) recorded.add(batchOf(line.data, line.records ?? 0));
      recorded.lost ??= line.lost;
      recorded.failure ??= line.failure;
    }
    return recorded;
  }

  /** What a file holds that `netstatd up --record` wrote; hooks and losses are not in it. */
  recording(section: string): Recorded {
    const recorded = new Recorded();
    const file = Buffer.from(this.text(section), 'base64');
    for (let at = 0; at < file.length;) {
      const head = readRecordedHead(file.subarray(at));
      if (!head) throw new Error(`${section} is damaged at byte ${at} of ${file.length}`);
      recorded.add(file.subarray(at, (at += head.bytes)));
    }
    return recorded;
  }
}

const batchOf = (data: string, records: number) =>
  new BatchWriter(1n).batch([Buffer.from(data, 'base64')], { records });
