import { shorten } from '@netstatd/events';
import { parseNetEnd, parseNetLine, ProcFs } from '@netstatd/procfs';
import type { UpSettings } from '../up/settings.ts';
import type { Check } from './report.ts';
import type { System } from './system.ts';

/** A TCP port that is listened on, as /proc/net/tcp tells it. */
export interface Listener {
  readonly port: number;
  readonly inode: number;
  readonly uid: number;
}

/** TCP_LISTEN of net/tcp_states.h. */
const LISTEN = 10;

/** Listening sockets of the network namespace that we are in. */
export function listeners(system: System): Listener[] {
  const lines = ['tcp', 'tcp6'].flatMap((name) =>
    (system.text(`/proc/net/${name}`) ?? '').split('\n'),
  );
  return lines.flatMap((line) => {
    const row = parseNetLine(line);
    if (row?.state !== LISTEN) return [];
    return [{ port: parseNetEnd(row.local).port, inode: row.inode, uid: row.uid }];
  });
}

/** The ports of `netstatd up`, and who has those that are taken. */
export function portChecks(system: System, settings: UpSettings, all: Listener[]): Check[] {
  const wanted = [
    ['gateway', settings.gatewayPort, '--gateway-port'],
    ['gateway, all nodes', settings.clusterPort, '--cluster-port'],
    ['collector', settings.collectorPort, '--collector-port'],
    ['enricher', settings.enricherPort, '--enricher-port'],
  ] as const;
  return wanted.map(([whose, port, flag]): Check => {
    const check = { group: 'ports', subject: port === 0 ? 'any' : String(port) } as const;
    const taken = port === 0 ? undefined : all.find((listener) => listener.port === port);
    if (!taken) return { ...check, state: 'ok', text: `free (${whose})` };
    const text = `taken by ${holder(system, taken)} (${whose})`;
    return { ...check, state: 'warn', text, remedy: `stop that, or netstatd up ${flag} PORT` };
  });
}

/** Who holds a socket: found among the open files of those processes that we may look into. */
function holder(system: System, { inode, uid }: Listener): string {
  const proc = new ProcFs(system.path('/proc'));
  for (const pid of proc.processes()) {
    if (![...proc.socketsOf(pid)].some((socket) => socket.inode === inode)) continue;
    const command = system.text(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim();
    return `pid ${pid}, ${shorten(command ?? '?', 60)}`;
  }
  return `a process of user ${uid} that may not be looked into`;
}
