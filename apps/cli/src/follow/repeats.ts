import type { NetstatdEvent } from '@netstatd/events';

/** Open connections whose last event is remembered; the oldest is forgotten first. */
const MAX_OPEN = 65_536;

/**
 * Tells events that are sent again, because their container could be named only later, from what happens: they have
 * the state and the time of the one before.
 */
export class Repeats {
  readonly #last = new Map<string, string>();

  /** Whether an event tells nothing new of what happened. */
  has(event: NetstatdEvent): boolean {
    if (event.type !== 'connection.event' || event.sockCookie === undefined) return false;
    const { nodeName, protocol, sockCookie, remoteIP, remotePort, state, timestamp } = event;
    const flow = protocol === 'UDP' ? `${remoteIP} ${remotePort}` : '';
    const key = `${nodeName} ${sockCookie} ${flow}`;
    const moment = `${state} ${timestamp}`;
    if (this.#last.get(key) === moment) return true;
    this.#last.delete(key);
    if (state === 'CLOSE') return false;
    this.#last.set(key, moment);
    const [oldest] = this.#last.size > MAX_OPEN ? this.#last.keys() : [];
    if (oldest !== undefined) this.#last.delete(oldest);
    return false;
  }
}
