import {
  columns,
  connectionRow,
  eventTypes,
  filterErrorText,
  parseFilter,
  queryPairs,
  type EventRow,
  type EventType,
  type SnapshotRequest,
} from '@netstatd/events';
import type { Connection } from './connection.ts';
import type { Enricher } from './enricher.ts';
import { Process } from './process.ts';

/** One kind of thing in the state, and the order in which a cursor goes through it: by `rank`, then by `name`. */
interface Section<T> {
  readonly type: EventType;
  readonly items: () => Iterable<T>;
  readonly rank: (item: T) => number;
  readonly name: (item: T) => string;
  readonly row: (item: T) => EventRow;
}

/**
 * The rows of the node's state that a request wants, in the order of the opening state. With a limit, what follows
 * is named by the returned cursor: the place of the last row, which holds even when the state has changed since.
 * @throws Error when the request's filter or cursor is none; the message says why
 */
export function* snapshotRows(
  enricher: Enricher,
  node: string,
  request: SnapshotRequest,
  micros: number,
): Generator<EventRow, string | undefined> {
  if (request.pid !== undefined) {
    const row = processRow(enricher, request.pid, micros);
    if (row !== undefined) yield row;
    return undefined;
  }
  const parsed = parseFilter(queryPairs(request.filter ?? {}));
  if ('error' in parsed) throw new Error(filterErrorText(parsed.error));
  const { filter } = parsed;
  const types = new Set(request.types ?? eventTypes);
  const cursor = request.after === undefined ? undefined : readCursor(request.after);
  const ordered = cursor !== undefined || request.limit !== undefined;
  let left = request.limit ?? Infinity;
  let last = '';
  for (const [index, section] of sections(enricher, micros).entries()) {
    if (!types.has(section.type) || !filter.wantsType(section.type)) continue;
    if (cursor !== undefined && index < cursor.section) continue;
    const after = index === cursor?.section ? cursor : undefined;
    const items = ordered ? inOrder(section, after) : section.items();
    for (const item of items) {
      const row = section.row(item);
      if (!filter.matches(row, node)) continue;
      if (left === 0) return last;
      left--;
      if (left === 0) last = `${index} ${section.rank(item)} ${section.name(item)}`;
      yield row;
    }
  }
  return undefined;
}

/** Any process, whether a socket names it or not: of those that records told of, else as /proc has it. */
function processRow(enricher: Enricher, pid: number, micros: number): EventRow | undefined {
  const { processes, announcer } = enricher;
  const process = processes.get(pid) ?? processes.read(pid);
  if (process === undefined) return undefined;
  processes.name(process);
  return announcer.processRow(process, announced(process, enricher), micros);
}

function sections(enricher: Enricher, micros: number): readonly Section<never>[] {
  const { host, announcer, containers, listeners } = enricher;
  return [
    section({
      type: 'host.info',
      items: () => [host],
      rank: () => 0,
      name: () => '',
      row: () => host.row(micros),
    }),
    section({
      type: 'container.added',
      items: () => where(containers.values(), ({ announced }) => announced),
      rank: () => 0,
      name: ({ containerUid }) => containerUid,
      row: (container) => container.row('container.added', micros),
    }),
    section({
      type: 'process.metainfo',
      items: () => announcedProcesses(enricher),
      rank: ({ pid }) => pid,
      name: ({ startNs }) => `${startNs}`,
      row: (process) => announcer.processRow(process, announced(process, enricher), micros),
    }),
    section({
      type: 'port.listening',
      items: () => announcedPorts(enricher),
      rank: ({ port }) => port,
      name: ({ endpoint }) => endpoint,
      row: (listener) => listeners.row('port.listening', listener, listener.sinceMicros),
    }),
    section({
      type: 'connection.event',
      items: () => announcedConnections(enricher),
      rank: ({ cookie }) => cookie,
      name: ({ remoteIP, remotePort }) => `${remotePort} ${remoteIP}`,
      row: announcedRow,
    }),
  ];
}

/** Sections differ in what they list; whoever walks them passes each its own items. */
function section<T>(of: Section<T>): Section<never> {
  return of as unknown as Section<never>;
}

/** Clients do not know yet what waits for the description of its container. */
function* announcedConnections({ connections, flows }: Enricher): Iterable<Connection> {
  for (const table of [connections, flows]) {
    yield* where(table.values(), ({ announced, ownerWaits, container }) => {
      return announced && (ownerWaits || container?.waiting === undefined);
    });
  }
}

function announcedPorts({ listeners }: Enricher) {
  return where(listeners.endpoints(), ({ container }) => container?.waiting === undefined);
}

/** A connection as clients know it: an owner who waits for the description of the container is not named yet. */
function announcedRow(connection: Connection): EventRow {
  const { sinceMicros, state, container } = connection;
  const row = connectionRow('connection.event', sinceMicros, state, connection);
  if (container?.waiting !== undefined) {
    const at = columns['connection.event'];
    for (const name of ownerFields) row[at[name]] = undefined;
  }
  return row;
}

const ownerFields = ['pid', 'comm', 'exe', 'uid', 'containerUid'] as const;

/** Those that anything names, also when they have ended, and those that clients were told of and may be named. */
function announcedProcesses(enricher: Enricher): Iterable<Process> {
  const found = new Set<Process>();
  const { processes } = enricher;
  for (const process of processes.living()) if (process.announced) found.add(process);
  for (const { process } of announcedPorts(enricher)) if (process) found.add(process);
  for (const { process } of announcedConnections(enricher)) if (process) found.add(process);
  return found;
}

/** The container of a process, if clients know of it. */
function announced(process: Process, { containers }: Enricher) {
  const container = containers.ofOwner(process, process.cgroupId);
  return container?.announced ? container : undefined;
}

function* where<T>(items: Iterable<T>, wanted: (item: T) => boolean): Iterable<T> {
  for (const item of items) if (wanted(item)) yield item;
}

interface Cursor {
  readonly section: number;
  readonly rank: number;
  readonly name: string;
}

function readCursor(after: number | string): Cursor {
  const [, section, rank, name] = /^(\d{1,2}) (\d{1,16}) (.*)$/s.exec(String(after)) ?? [];
  if (section === undefined || name === undefined) throw new Error('after is no cursor of ours');
  return { section: Number(section), rank: Number(rank), name };
}

function inOrder<T>({ items, rank, name }: Section<T>, after: Cursor | undefined): Iterable<T> {
  const compare = (a: T, b: T): number => rank(a) - rank(b) || compareText(name(a), name(b));
  const sorted = [...items()].sort(compare);
  if (after === undefined) return sorted;
  return where(sorted, (item) => {
    return (rank(item) - after.rank || compareText(name(item), after.name)) > 0;
  });
}

function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
