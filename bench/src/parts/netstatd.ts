import { startUp, type Part, type Up } from '@netstatd/testkit';
import { readdirSync, readFileSync } from 'node:fs';
import { cpuSeconds } from '../frame/cpu.ts';

/** The services of a node and its bus; `up` itself exists on one machine only. */
const PARTS: Part[] = ['collector', 'enricher', 'gateway', 'nats'];

/** Runs `work` beside a `netstatd up` of its own. */
export async function withNetstatd<T>(work: (up: Up) => Promise<T>): Promise<T> {
  const up = await startUp({ flags: ['--node-name=bench'] });
  try {
    return await work(up);
  } finally {
    await up.stop();
  }
}

export function pidOf(up: Up, part: Part): number {
  const pid = up.endpoints().pids[part];
  if (pid === undefined) throw new Error(`${part} does not run`);
  return pid;
}

/** What the kernel says about a descriptor; nothing when it is closed by now. */
function descriptor(pid: number, fd: string): string {
  try {
    return readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1');
  } catch {
    return '';
  }
}

/** Values of a field of those descriptors of a process that match. */
function describedBy(pid: number, pattern: RegExp, field: RegExp): number[] {
  return readdirSync(`/proc/${pid}/fdinfo`).flatMap((fd) => {
    const text = descriptor(pid, fd);
    const found = pattern.test(text) ? field.exec(text)?.[1] : undefined;
    return found === undefined ? [] : [Number(found)];
  });
}

/** The id of the ring buffer (map type 27) of a process. */
export function ringOf(pid: number): number {
  const [id] = describedBy(pid, /^map_type:\t27$/m, /^map_id:\t(\d+)$/m);
  if (id === undefined) throw new Error(`process ${pid} has no ring buffer`);
  return id;
}

/** Ids of the BPF programs of a process. */
export function programsOf(pid: number): Set<number> {
  return new Set(describedBy(pid, /^prog_id:/m, /^prog_id:\t(\d+)$/m));
}

/** Bytes of the BPF maps of a process, as the kernel accounts for them. */
export function mapBytes(pid: number): number {
  return describedBy(pid, /^map_type:/m, /^memlock:\t(\d+)$/m).reduce((sum, n) => sum + n, 0);
}

/** CPU seconds of each service and the bus so far. */
export function cpuOf(up: Up): { part: Part; seconds: number }[] {
  return PARTS.map((part) => ({ part, seconds: cpuSeconds(pidOf(up, part)) }));
}

/** Proportional memory of a process in MB (10^6 bytes). */
export function pssMB(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  return (Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024) / 1e6;
}

/** Of each service and the bus, and in sum. */
export function memoryOf(up: Up): { sum: number; text: string } {
  const parts = PARTS.map((part) => [part, pssMB(pidOf(up, part))] as const);
  const text = parts.map(([part, size]) => `${part} ${size.toFixed(0)}`).join(', ');
  return { sum: parts.reduce((sum, [, size]) => sum + size, 0), text };
}

interface Status {
  nodes: { services: { service: string; counters?: Record<string, number> }[] }[];
}

/** A counter as the last heartbeat of a service says; 0 when it says nothing of it. */
export async function counterOf(up: Up, service: Part, name: string): Promise<number> {
  const { nodes } = (await up.get('/api/status')) as Status;
  const services = nodes.flatMap((node) => node.services);
  return services.find((each) => each.service === service)?.counters?.[name] ?? 0;
}
