import { printable } from '@netstatd/events';
import { grouped } from './read-status.ts';
import type { NodeStatus, Status } from './read-status.ts';

/** Nodes, their services, what was seen and what was lost, for a person to read. */
export function statusTable(status: Status, now: number): string {
  if (status.nodes.length === 0) return 'no node has been heard\n';
  return status.nodes.map((node) => nodeText(node, now)).join('\n');
}

function nodeText(node: NodeStatus, now: number): string {
  const why = node.reason === undefined ? '' : ` (${printable(node.reason)})`;
  const services = table(
    ['SERVICE', 'STATE', 'VERSION', 'PID', 'UP FOR', ''],
    node.services.map((service) => [
      printable(service.service),
      service.silent ? 'silent' : service.ready ? 'ready' : 'not ready',
      printable(service.version),
      String(service.pid),
      duration(now - Date.parse(service.startedAt)),
      printable(service.reason ?? ''),
    ]),
  );
  const unready = node.services.filter(({ ready, silent }) => silent || !ready);
  const but = unready.map(({ service }) => printable(service)).join(', ');
  const state = unready.length === 0 ? '' : `, but not ready: ${but}`;
  const lost = Object.entries(node.lost).map(([place, n]) => `${printable(place)} ${grouped(n)}`);
  const counters = node.services.flatMap(({ service, counters }) =>
    Object.entries(counters)
      // A counter that has never counted tells nothing; `--json` has them all.
      .filter(([, value]) => value !== 0)
      .map(([name, value]) => [printable(service), printable(name), grouped(value)]),
  );
  return [
    `${printable(node.nodeName)} is ${printable(node.state)}${why}${state}`,
    `  events ${node.seen === undefined ? 'unknown' : grouped(node.seen)}`,
    `  lost   ${lost.join(', ') || 'none'}`,
    '',
    ...services,
    '',
    ...table(['SERVICE', 'COUNTER', 'VALUE'], counters),
    '',
  ].join('\n');
}

/** Columns as wide as their widest cell, two blanks between them, indented by two. */
function table(head: string[], rows: string[][]): string[] {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  // Without rows there is nothing to put a title on.
  return (rows.length > 0 ? [head, ...rows] : []).map((row) =>
    `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd(),
  );
}

/** Milliseconds as the two largest units: `2 d 3 h`, `4 min 5 s`, `6 s`. */
function duration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (!Number.isFinite(s)) return '?';
  if (s >= 86_400) return `${Math.floor(s / 86_400)} d ${Math.floor(s / 3600) % 24} h`;
  if (s >= 3600) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return s >= 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s} s`;
}
