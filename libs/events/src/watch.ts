import { parseMicros, printable } from './text.ts';
import type { ConnectionEvent, NetstatdEvent } from './types.ts';

/** Most connects that are remembered as not answered yet; the oldest is forgotten first. */
const MAX_CONNECTING = 65536;

/** The line above the lines of `WatchLines`. */
export const WATCH_HEADER = columnsOf('TIME', 'COMM', 'PID', 'SADDR', 'DADDR:PORT');

/**
 * Makes one line per outgoing TCP connection: `TIME COMM PID SADDR -> DADDR:PORT`. The line comes when the
 * connection is established, since its source address is not known before; a connect that fails has its line
 * when it fails, with the reason behind it. What failed is known by having seen the connect, not guessed.
 */
export class WatchLines {
  readonly #connecting = new Set<string>();

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
    if (event.state === 'ESTABLISHED') return watchLine(event);
    // A connect without a cookie failed before there was a SYN to send.
    const failed = connecting || event.sockCookie === undefined;
    if (event.state !== 'CLOSE' || !failed) return undefined;
    return `${watchLine(event)} ${event.closeReason ?? 'failed'}`;
  }

  #remember(key: string): void {
    const [oldest] = this.#connecting;
    if (this.#connecting.size >= MAX_CONNECTING && oldest !== undefined) {
      this.#connecting.delete(oldest);
    }
    this.#connecting.add(key);
  }
}

function watchLine(event: ConnectionEvent): string {
  const remote = event.remoteIP.includes(':') ? `[${event.remoteIP}]` : event.remoteIP;
  return columnsOf(
    clock(event.timestamp),
    printable(event.comm ?? '-'),
    String(event.pid ?? '-'),
    printable(event.localIP ?? '-'),
    printable(`${remote}:${event.remotePort}`),
  );
}

function columnsOf(time: string, comm: string, pid: string, from: string, to: string): string {
  return `${time.padEnd(12)} ${comm.padEnd(16)} ${pid.padEnd(7)} ${from.padEnd(15)} -> ${to}`;
}

/** HH:MM:SS.mmm in the local time zone. */
function clock(timestamp: string): string {
  const date = new Date(parseMicros(timestamp) / 1000);
  if (Number.isNaN(date.getTime())) return '-';
  const two = (value: number) => String(value).padStart(2, '0');
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${time}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
