import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * One of the kernel's own counts (`Tcp` `ActiveOpens`), in every network namespace that a process is in, by inode.
 */
export function countsByNamespace(table: string, name: string): Map<number, number> {
  const counts = new Map<number, number>();
  for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const inode = Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[0]);
      if (counts.has(inode)) continue;
      const [names, values] = readFileSync(`/proc/${pid}/net/snmp`, 'utf8')
        .split('\n')
        .filter((line) => line.startsWith(`${table}:`))
        .map((line) => line.split(' '));
      counts.set(inode, Number(values?.[names?.indexOf(name) ?? 0]));
    } catch {
      // Gone meanwhile.
    }
  }
  return counts;
}
