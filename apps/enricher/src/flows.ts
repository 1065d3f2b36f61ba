import { RecordFlag, SocketKind, type SocketView } from '@netstatd/records';
import { BoundedMap } from './bounded-map.ts';
import { Connection, Ending, readEnding } from './connection.ts';
import { LastSnapshot } from './last-snapshot.ts';
import type { Limits } from './limits.ts';
import { isCounted, SNAPSHOT_SLACK_NS, type Parts, type RecordMoment } from './parts.ts';
import { useOf, type TableUse } from './table.ts';

/** UDP flows: what one socket and one peer exchange. The kernel counts them and tells of their begin and end. */
export class Flows {
  readonly #parts: Parts;
  readonly #open: BoundedMap<string, Connection>;
  readonly #last = new LastSnapshot();
  #nowMicros = 0;

  constructor(parts: Parts, limits: Pick<Limits, 'flows'>) {
    this.#parts = parts;
    this.#open = new BoundedMap(limits.flows, (flow) => this.#presumeClosed(flow));
  }

  get size(): number {
    return this.#open.size;
  }
  get evicted(): number {
    return this.#open.evicted;
  }
  tables(): TableUse[] {
    return [useOf('flows', this.#open)];
  }
  values(): IterableIterator<Connection> {
    return this.#open.values();
  }

  take(kind: number, view: SocketView, moment: RecordMoment, snapshot: number): void {
    this.#nowMicros = moment.micros;
    if (kind === SocketKind.FLOW_OPENED) this.#opened(view, moment, snapshot);
    else this.#closed(view, moment);
  }

  /** A snapshot begun at `beginNs` is complete; see Connections. A flow's time is that of its first datagram. */
  complete(snapshot: number, beginNs: number): void {
    this.#last.take(snapshot, beginNs);
  }

  /** Closes the flows that the last snapshot did not show and of whose end no record told. */
  settle(): void {
    for (const flow of this.#open.values()) {
      if (!this.#last.misses(flow)) continue;
      this.#open.delete(keyOf(flow));
      this.#presumeClosed(flow);
    }
  }

  #opened(view: SocketView, moment: RecordMoment, snapshot: number): void {
    const shown = (moment.flags & RecordFlag.SNAPSHOT) !== 0;
    const key = keyOfView(view);
    const known = this.#open.get(key);
    if (known !== undefined) {
      if (shown) known.seen = snapshot;
      this.#parts.counters.repeated++;
      return;
    }
    const flow = this.#begin(key, view, moment);
    if (shown) {
      flow.seen = snapshot;
      flow.sinceMicros -= view.durationMicros;
      flow.timeNs -= view.durationMicros * 1000;
      this.#parts.counters.presumedOpen++;
    }
    this.#parts.announcer.connection(flow);
  }

  #closed(view: SocketView, moment: RecordMoment): void {
    const key = keyOfView(view);
    let flow = this.#open.get(key);
    if (flow === undefined) flow = this.#begin(key, view, moment);
    else if (moment.timeNs - view.durationMicros * 1000 < flow.timeNs - SNAPSHOT_SLACK_NS) {
      // The end of an earlier flow with the same peer: when it began tells them apart.
      this.#parts.counters.repeated++;
      return;
    }
    this.#open.delete(key);
    this.#own(flow, view, moment);
    flow.end(readEnding(view, moment.micros, isCounted(moment)));
    this.#parts.announcer.connection(flow);
    this.#parts.announcer.release(flow, moment.micros);
  }

  #begin(key: string, view: SocketView, moment: RecordMoment): Connection {
    const flow = new Connection(view, 'ESTABLISHED', moment.micros, moment.timeNs);
    flow.remote = this.#parts.host.remoteOf(flow.remoteIP);
    this.#own(flow, view, moment);
    this.#open.set(key, flow);
    return flow;
  }

  /** The record's owner, else the one who bound the very same socket. */
  #own(flow: Connection, view: SocketView, moment: RecordMoment): void {
    if (this.#parts.owners.take(flow, view, moment.flags, moment.micros)) return;
    const bound = this.#parts.listeners.get(flow.cookie);
    if (bound !== undefined) this.#parts.owners.share(flow, bound, moment.micros);
  }

  #presumeClosed(flow: Connection): void {
    this.#parts.counters.presumedClosed++;
    const ending = new Ending();
    ending.endMicros = this.#nowMicros;
    flow.end(ending);
    this.#parts.announcer.connection(flow);
    this.#parts.announcer.release(flow, this.#nowMicros);
  }
}

/** The kernel's own key of a flow: its socket and its peer. */
function keyOfView(view: SocketView): string {
  return `${view.cookie} ${view.remotePort} ${view.remoteAddress}`;
}

function keyOf(flow: Connection): string {
  return `${flow.cookie} ${flow.remotePort} ${flow.remoteIP}`;
}
