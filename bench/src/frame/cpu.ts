import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Clock ticks a second in /proc (USER_HZ). */
const TICKS = 100;

interface ProcessTime {
  parent: number;
  /** Ticks of the process itself, and of children that it has waited for. */
  own: number;
  waited: number;
}

/** proc_pid_stat(5); undefined when the process is gone. */
function processTime(pid: number): ProcessTime | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number) => Number(fields[number - 3]);
  return { parent: field(4), own: field(14) + field(15), waited: field(16) + field(17) };
}

/** CPU seconds that a process has used, its waited-for children not counted. */
export function cpuSeconds(pid: number): number {
  return (processTime(pid)?.own ?? 0) / TICKS;
}

/** Ticks of this process and of everything it has started. */
function ownTicks(): number {
  const times = new Map<number, ProcessTime>();
  for (const name of readdirSync('/proc')) {
    const time = /^\d+$/.test(name) ? processTime(Number(name)) : undefined;
    if (time) times.set(Number(name), time);
  }
  const isOwn = (pid: number): boolean => {
    if (pid === process.pid) return true;
    const parent = times.get(pid)?.parent ?? 0;
    return parent > 1 && isOwn(parent);
  };
  let ticks = 0;
  for (const [pid, { own, waited }] of times) if (isOwn(pid)) ticks += own + waited;
  return ticks;
}

/** A look at who has used the machine's processors so far. */
export interface CpuLook {
  atMs: number;
  /** Seconds of all processes, of our own, and of those that the hypervisor took. */
  all: number;
  own: number;
  stolen: number;
}

export function lookAtCpu(): CpuLook {
  const line = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0] ?? '';
  const [user, nice, system, , , , , stolen] = line.split(/\s+/).slice(1).map(Number);
  return {
    atMs: performance.now(),
    all: ((user ?? 0) + (nice ?? 0) + (system ?? 0)) / TICKS,
    own: ownTicks() / TICKS,
    stolen: (stolen ?? 0) / TICKS,
  };
}

/** The part of the machine that neither we nor nobody used since a look, 0 to 1. */
export function disturbance(since: CpuLook): number {
  const now = lookAtCpu();
  const available = ((now.atMs - since.atMs) / 1000) * cpus().length;
  const others = now.all - since.all - (now.own - since.own);
  return Math.max(0, others + now.stolen - since.stolen) / Math.max(available, 0.01);
}
