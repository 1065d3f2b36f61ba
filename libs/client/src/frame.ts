import type { NetstatdEvent } from '@netstatd/events';
import { isEventType } from '@netstatd/events';

/** The events of a frame: of one, or of an array of them. Never throws; what is none is counted. */
export function readFrame(text: string): { events: NetstatdEvent[]; malformed: number } {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    return { events: [], malformed: 1 };
  }
  const candidates: unknown[] = Array.isArray(frame) ? frame : [frame];
  const events = candidates.filter(isEvent);
  return { events, malformed: candidates.length - events.length };
}

/** What every event has. Its other fields are the gateway's word: to check each costs too much. */
function isEvent(value: unknown): value is NetstatdEvent {
  if (typeof value !== 'object' || value === null) return false;
  const { type, timestamp, nodeName } = value as Partial<NetstatdEvent>;
  return isEventType(type) && typeof timestamp === 'string' && typeof nodeName === 'string';
}
