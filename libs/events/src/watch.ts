import { parseMicros, printable } from './text.ts';
import type { ConnectionEvent, NetstatdEvent } from './types.ts';

/** Most connects that are remembered as not answered yet; the oldest is forgotten first. */
const MAX_CONNECTING = 65536;

/** By what a line names the near end: `COMM PID`, or `NAMESPACE/POD/CONTAINER` and the process where there is no pod. */
export const watchNames = ['process', 'pod'] as const;
export type WatchName = (typeof watchNames)[number];

/** The line above the lines of `WatchLines`. */
export const watchHeader = (by: WatchName): string =>
  columnsOf(by, 'TIME', by === 'pod' ? 'POD' : 'COMM', 'PID', 'SADDR', 'DADDR:PORT');

/**
 * Makes one line per outgoing TCP connection: `TIME COMM PID SADDR -> DADDR:PORT`. The line comes when the
 * connection is established, since its source address is not known before; a connect that fails has its line
 * when it fails, with the reason behind it. What failed is known by having seen the connect, not guessed.
 */
export class WatchLines {
  readonly #by: WatchName;
  readonly #connecting = new Set<string>();

  constructor(by: WatchName = 'process') {
    this.#by = by;
  }

  /** The line for an event, without line end; undefined when the event makes none. */
  line(event: NetstatdEvent): string | undefined {
    if (event.type !== 'connection.event') return undefined;
    if (event.protocol !== 'TCP' || event.direction !== 'outbound') return undefined;
    const key = `${event.nodeName}/${event.sockCookie}`;
    if (event.state === 'SYN_SENT') {
      this.#remember(key);
      return undefined;
    }
    const connecting = this.#connecting.delete(key);
    if (event.state === 'ESTABLISHED') return watchLine(event, this.#by);
    // A connect without a cookie failed before there was a SYN to send.
    const failed = connecting || event.sockCookie === undefined;
    if (event.state !== 'CLOSE' || !failed) return undefined;
    return `${watchLine(event, this.#by)} ${event.closeReason ?? 'failed'}`;
  }

  #remember(key: string): void {
    const [oldest] = this.#connecting;
    if (this.#connecting.size >= MAX_CONNECTING && oldest !== undefined) {
      this.#connecting.delete(oldest);
    }
    this.#connecting.add(key);
  }
}

function podText({ namespace, podName, containerName }: ConnectionEvent): string | undefined {
  if (podName === undefined) return undefined;
  return [namespace, podName, containerName].filter((part) => part !== undefined).join('/');
}

function watchLine(event: ConnectionEvent, by: WatchName): string {
  const name = (by === 'pod' ? podText(event) : undefined) ?? event.comm;
  const remote = event.remoteIP.includes(':') ? `[${event.remoteIP}]` : event.remoteIP;
  return columnsOf(
    by,
    clock(event.timestamp),
    printable(name ?? '-'),
    String(event.pid ?? '-'),
    printable(event.localIP ?? '-'),
    printable(`${remote}:${event.remotePort}`),
  );
}

function columnsOf(by: WatchName, time: string, name: string, ...rest: string[]): string {
  const [pid = '', from = '', to = ''] = rest;
  const wide = by === 'pod' ? 40 : 16;
  return `${time.padEnd(12)} ${name.padEnd(wide)} ${pid.padEnd(7)} ${from.padEnd(15)} -> ${to}`;
}

/** HH:MM:SS.mmm in the local time zone. */
function clock(timestamp: string): string {
  const date = new Date(parseMicros(timestamp) / 1000);
  if (Number.isNaN(date.getTime())) return '-';
  const two = (value: number) => String(value).padStart(2, '0');
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${time}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
