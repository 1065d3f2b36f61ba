import { toLogLine, watchHeader, WatchLines } from '@netstatd/events';
import type { EventType, NetstatdEvent, WatchName } from '@netstatd/events';

/** How a command shows events, and which it needs for that. */
export interface Form {
  types: readonly EventType[];
  /** The line above all others. */
  header?: string;
  /** The line of an event, without its end; undefined when it makes none. */
  line: (event: NetstatdEvent) => string | undefined;
}

/** `TIME COMM PID SADDR -> DADDR:PORT`, or the pod instead of COMM. */
export function watchForm(by: WatchName = 'process'): Form {
  const lines = new WatchLines(by);
  return {
    types: ['connection.event'],
    header: watchHeader(by),
    line: (event) => lines.line(event),
  };
}

/** One JSON object a line. */
export function logForm(): Form {
  return { types: ['connection.event', 'connection.accepted'], line: toLogLine };
}
