import { BatchReader, BatchWriter, RecordType } from '@netstatd/records';
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
  from?: 'snapshot' | 'ring';
  records?: number;
  data?: string;
  ready?: boolean;
  lost?: number;
  failure?: string;
  id?: number;
}

export interface Process {
  kind: number;
  pid: number;
  exe: string | undefined;
}

/** What a recorder saw: `first` snapshot, the ring, and a snapshot at its end. */
export interface Recording {
  hooks: Record<string, Hook>;
  first: Socket[];
  ring: Socket[];
  last: Socket[];
  processes: Process[];
  /** Records the kernel had no room for. */
  lost: number | undefined;
  /** Why there is nothing. */
  failure: string | undefined;
}

/** What an emulated machine told, see `init`. */
export class Story {
  readonly release: string;
  readonly #sections = new Map<string, Line[]>();

  constructor(told: string) {
    let lines: Line[] = [];
    let release = '';
    for (const line of told.split(/\r?\n/)) {
      const name = /^== (.*)/.exec(line)?.[1];
      if (name) this.#sections.set(name, (lines = []));
      else if (line.startsWith('{')) lines.push(JSON.parse(line) as Line);
      else if (this.#sections.size === 1) release = line;
    }
    this.release = release;
    const failure = this.#lines('failure')[0]?.failure;
    if (failure) throw new Error(`on ${release}: ${failure}\n${told.replace(/"data":".*"/g, '')}`);
  }

  #lines(section: string): Line[] {
    return this.#sections.get(section) ?? [];
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

  recording(recorder: string): Recording {
    const recording: Recording = {
      hooks: {},
      first: [],
      ring: [],
      last: [],
      processes: [],
      lost: undefined,
      failure: undefined,
    };
    let snapshots = recording.first;
    for (const line of this.#lines(recorder)) {
      if (line.name) recording.hooks[line.name] = line as Hook;
      if (line.data) {
        const { sockets, processes } = decode(line.data, line.records ?? 0);
        (line.from === 'ring' ? recording.ring : snapshots).push(...sockets);
        recording.processes.push(...processes);
      }
      if (line.ready) snapshots = recording.last;
      recording.lost ??= line.lost;
      recording.failure ??= line.failure;
    }
    return recording;
  }
}

function decode(data: string, records: number): { sockets: Socket[]; processes: Process[] } {
  const batch = new BatchWriter(1n).batch([Buffer.from(data, 'base64')], { records });
  const reader = new BatchReader();
  const failure = reader.load(batch);
  if (failure) throw new Error(JSON.stringify(failure));
  const sockets: Socket[] = [];
  const processes: Process[] = [];
  while (reader.next()) {
    if (reader.type === RecordType.SOCKET) sockets.push(copySocket(reader));
    if (reader.type === RecordType.PROCESS) {
      const { pid, exe } = reader.process;
      processes.push({ kind: reader.kind, pid, exe });
    }
  }
  if (reader.error) throw new Error(JSON.stringify(reader.error));
  return { sockets, processes };
}
