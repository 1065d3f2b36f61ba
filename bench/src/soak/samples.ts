import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Part, Up } from '@netstatd/testkit';
import { pidOf, pssMB, mapBytes } from '../parts/netstatd.ts';

export const PARTS: Part[] = ['collector', 'enricher', 'gateway', 'nats'];

/** One look at a process. */
export interface PartSample {
  atMs: number;
  pid: number;
  pssMB: number;
  fds: number;
}

/** How full a table was at most, and what it let go of. */
export interface TableSample {
  entries: number;
  peak: number;
  limit: number;
  evictions: number;
  /** Looks at which it held more than its limit. */
  over: number;
}

/** One look at everything else. */
export interface OtherSample {
  atMs: number;
  /** Memory of the collector's BPF maps, as the kernel accounts for it. */
  mapMB: number;
  files: number;
  fileMB: number;
}

const SCRAPE_MS = 3000;
const LINE = /^netstatd_(\w+?)_table_(entries|limit|evictions_total)\{table="(\w+)"\} (\S+)$/gm;

/** Samples the services while they work: their memory, their descriptors, their tables. */
export class Samples {
  readonly parts = new Map<Part, PartSample[]>(PARTS.map((part) => [part, []]));
  readonly tables = new Map<string, TableSample>();
  readonly others: OtherSample[] = [];
  looks = 0;
  readonly #up: Up;
  /** Evictions of processes before the one of now, and of that one. */
  readonly #evictions = new Map<string, { before: number; now: number }>();

  constructor(up: Up) {
    this.#up = up;
  }

  /** Looks at every table; what is away is left out. */
  async lookAtTables(): Promise<void> {
    this.looks++;
    for (const part of ['collector', 'enricher'] as const) {
      try {
        const answer = await fetch(this.#up.url('/metrics', part), {
          signal: AbortSignal.timeout(SCRAPE_MS),
        });
        this.#takeTables(await answer.text());
      } catch {
        // It is being started again, or has no time: the next look finds it.
      }
    }
  }

  /** Looks at memory, descriptors and files. */
  lookAtProcesses(): void {
    const atMs = Date.now();
    for (const part of PARTS) {
      const sample = orGone(() => {
        const pid = pidOf(this.#up, part);
        return { atMs, pid, pssMB: pssMB(pid), fds: readdirSync(`/proc/${pid}/fd`).length };
      });
      if (sample && !Number.isNaN(sample.pssMB)) this.parts.get(part)?.push(sample);
    }
    const collector = orGone(() => mapBytes(pidOf(this.#up, 'collector')));
    const files = orGone(() => filesOf(this.#up.stateDir));
    if (collector === undefined || !files) return;
    const fileMB = files.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6;
    this.others.push({ atMs, mapMB: collector / 1e6, files: files.length, fileMB });
  }

  #takeTables(text: string): void {
    for (const [, service = '', what = '', name = '', value] of text.matchAll(LINE)) {
      const table = `${service} ${name}`;
      const sample = this.tables.get(table) ?? {
        ...{ entries: 0, peak: 0, limit: 0, evictions: 0, over: 0 },
      };
      this.tables.set(table, sample);
      const number = Number(value);
      if (what === 'entries') sample.entries = number;
      else if (what === 'limit') sample.limit = number;
      else sample.evictions = this.#countEvictions(table, number);
      if (what !== 'limit') continue;
      sample.peak = Math.max(sample.peak, sample.entries);
      if (sample.entries > sample.limit) sample.over++;
    }
  }

  /** A process that was started again counts from zero. */
  #countEvictions(table: string, now: number): number {
    const known = this.#evictions.get(table) ?? { before: 0, now: 0 };
    if (now < known.now) known.before += known.now;
    known.now = now;
    this.#evictions.set(table, known);
    return known.before + now;
  }
}

function filesOf(dir: string): { bytes: number }[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory()
      ? filesOf(path)
      : [{ bytes: orGone(() => statSync(path).size) ?? 0 }];
  });
}

/** What `read` gives, or nothing when the process or file is gone meanwhile. */
function orGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
