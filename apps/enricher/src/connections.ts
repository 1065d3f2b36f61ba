import { Direction, RecordFlag, SocketKind, type SocketView } from '@netstatd/records';
import { BoundedMap } from './bounded-map.ts';
import { Connection, Ending, readEnding } from './connection.ts';
import { Held } from './held.ts';
import { LastSnapshot } from './last-snapshot.ts';
import type { Limits } from './limits.ts';
import { isCounted, SNAPSHOT_SLACK_NS, type Parts, type RecordMoment } from './parts.ts';
import { useOf, type TableUse } from './table.ts';

/** The kernel's TCP_SYN_SENT, TCP_SYN_RECV, TCP_CLOSE and TCP_NEW_SYN_RECV. */
const SYN_SENT = 2;
const SYN_RECV = 3;
const CLOSE = 7;
const NEW_SYN_RECV = 12;

/**
 * TCP connections by socket cookie, and what becomes of them. Every handler is idempotent: what a snapshot and the
 * ring buffer both tell is sent once, and a record that is older than what is known changes nothing.
 */
export class Connections {
  readonly #parts: Parts;
  readonly #open: BoundedMap<number, Connection>;
  /** Those that have ended, for accepts that come late and records that come twice. */
  readonly #closed: BoundedMap<number, Connection>;
  readonly #held: Held;
  /** Shown by a snapshot that is not complete yet: the listeners that tell their direction may follow. */
  #undirected: { connection: Connection; portAsked: boolean }[] = [];
  /** Connecting as far as is known, established by the snapshot. */
  #contradicted: Connection[] = [];
  readonly #last = new LastSnapshot();
  /** Newest time that was read, microseconds since 1970. */
  #nowMicros = 0;

  constructor(
    parts: Parts,
    limits: Pick<Limits, 'sockets' | 'closed' | 'held'>,
    acceptWaitMs: number,
  ) {
    this.#parts = parts;
    this.#open = new BoundedMap(limits.sockets, (connection) => this.#presumeClosed(connection));
    this.#closed = new BoundedMap(limits.closed);
    this.#held = new Held(acceptWaitMs, limits.held);
  }

  get size(): number {
    return this.#open.size;
  }
  get evicted(): number {
    return this.#open.evicted;
  }
  get held(): number {
    return this.#held.size;
  }
  tables(): TableUse[] {
    const { size: entries, max: limit, overflow: evicted } = this.#held;
    return [
      useOf('sockets', this.#open),
      useOf('closed', this.#closed),
      { table: 'held', entries, limit, evicted },
    ];
  }
  values(): IterableIterator<Connection> {
    return this.#open.values();
  }

  take(kind: number, view: SocketView, moment: RecordMoment): void {
    this.#nowMicros = moment.micros;
    switch (kind) {
      case SocketKind.CONNECTING:
        this.#connecting(view, moment);
        break;
      case SocketKind.ESTABLISHED:
        this.#established(view, moment);
        break;
      case SocketKind.ACCEPTED:
        this.#accepted(view, moment);
        break;
      case SocketKind.CLOSED:
        if (view.cookie === 0) this.#neverBegan(view, moment);
        else this.#ended(view, moment);
        break;
      default:
        this.#parts.counters.unknownKinds++;
    }
  }

  /** A snapshot shows a socket. */
  show(view: SocketView, moment: RecordMoment, snapshot: number): void {
    const { state, cookie } = view;
    this.#nowMicros = moment.micros;
    if (state === SYN_RECV || state === CLOSE || state === NEW_SYN_RECV) return;
    let connection = this.#open.get(cookie);
    if (connection === undefined) {
      const closed = this.#closed.get(cookie);
      if (closed !== undefined && closed.timeNs >= moment.timeNs) return;
      connection = this.#begin(view, state === SYN_SENT ? 'SYN_SENT' : 'ESTABLISHED', moment);
      connection.seen = snapshot;
      connection.sinceMicros -= view.durationMicros;
      this.#parts.counters.presumedOpen++;
      this.#parts.owners.take(connection, view, moment.flags, moment.micros);
      if (connection.direction === undefined) {
        const portAsked = (moment.flags & RecordFlag.PORT_ASKED) !== 0;
        this.#undirected.push({ connection, portAsked });
      } else {
        this.#parts.announcer.connection(connection);
      }
      return;
    }
    this.#parts.counters.repeated++;
    connection.seen = snapshot;
    this.#own(connection, view, moment);
    if (connection.state !== 'SYN_SENT' || state === SYN_SENT) return;
    connection.describe(view);
    this.#contradicted.push(connection);
  }

  /**
   * A snapshot begun at `beginNs` is complete: listeners tell the direction of connections older than the
   * collector. What contradicts the snapshot waits for `settle`, because the records that explain it may still be
   * on their way.
   */
  complete(snapshot: number, beginNs: number): void {
    this.direct();
    this.#last.take(snapshot, beginNs);
  }

  /** Sends the connections that waited for the snapshot's listeners to tell their direction. */
  direct(): void {
    for (const { connection, portAsked } of this.#undirected) {
      if (!this.#has(connection) || connection.announced) continue;
      if (this.#parts.listeners.accepts(connection)) connection.direction = 'inbound';
      else if (!portAsked) connection.direction = 'outbound';
      this.#parts.announcer.connection(connection);
    }
    this.#undirected = [];
  }

  /** No record has explained since what contradicts the last snapshot: the snapshot is right. */
  settle(): void {
    for (const connection of this.#contradicted) {
      if (!this.#has(connection) || connection.state !== 'SYN_SENT') continue;
      connection.state = 'ESTABLISHED';
      this.#parts.announcer.connection(connection);
    }
    for (const connection of this.#open.values()) {
      if (!this.#last.misses(connection)) continue;
      this.#open.delete(connection.cookie);
      this.#presumeClosed(connection);
    }
    this.#contradicted = [];
  }

  /** Lets go of connections that have waited long enough for their owner. */
  release(nowNs: number): void {
    for (let next = this.#held.expired(nowNs); next; next = this.#held.expired(nowNs)) {
      this.#letGo(next);
    }
  }

  #connecting(view: SocketView, moment: RecordMoment): void {
    const known = this.#open.get(view.cookie);
    if (known !== undefined) {
      if (known.timeNs >= moment.timeNs) {
        this.#parts.counters.repeated++;
        return;
      }
      // The socket connects anew: the end of what it did before was lost.
      this.#open.delete(view.cookie);
      this.#presumeClosed(known);
    } else if (this.#isStale(view.cookie, moment)) return;
    const connection = this.#begin(view, 'SYN_SENT', moment);
    connection.direction = 'outbound';
    this.#parts.owners.take(connection, view, moment.flags, moment.micros);
    this.#parts.announcer.connection(connection);
  }

  #established(view: SocketView, moment: RecordMoment): void {
    const known = this.#open.get(view.cookie);
    if (known === undefined) {
      if (this.#isStale(view.cookie, moment)) return;
      const connection = this.#begin(view, 'ESTABLISHED', moment);
      this.#parts.owners.take(connection, view, moment.flags, moment.micros);
      if (connection.process !== undefined || view.direction !== Direction.INBOUND) {
        this.#parts.announcer.connection(connection);
        return;
      }
      const crowdedOut = this.#held.add(connection);
      if (crowdedOut?.held) {
        this.#parts.counters.heldOverflow++;
        this.#letGo(crowdedOut);
      }
      return;
    }
    if (known.state !== 'SYN_SENT') {
      this.#parts.counters.repeated++;
      this.#own(known, view, moment);
      return;
    }
    known.describe(view);
    known.state = 'ESTABLISHED';
    known.sinceMicros = moment.micros;
    known.timeNs = Math.max(known.timeNs, moment.timeNs);
    this.#parts.owners.take(known, view, moment.flags, moment.micros);
    this.#parts.announcer.connection(known);
  }

  #accepted(view: SocketView, moment: RecordMoment): void {
    const open = this.#open.get(view.cookie);
    if (open !== undefined) {
      this.#own(open, view, moment);
      return;
    }
    const closed = this.#closed.get(view.cookie);
    if (closed === undefined || (closed.presumed && closed.timeNs < moment.timeNs)) {
      // Its ESTABLISHED was lost, or it waited to be accepted where no snapshot sees it.
      if (view.state === CLOSE) return;
      const connection = this.#begin(view, 'ESTABLISHED', moment);
      connection.direction = 'inbound';
      this.#parts.owners.take(connection, view, moment.flags, moment.micros);
      this.#parts.announcer.connection(connection);
      return;
    }
    if (!this.#parts.owners.take(closed, view, moment.flags, moment.micros)) {
      this.#parts.counters.repeated++;
      return;
    }
    this.#parts.announcer.accepted(closed, moment.micros);
    this.#parts.announcer.release(closed, moment.micros);
  }

  #ended(view: SocketView, moment: RecordMoment): void {
    let connection = this.#open.get(view.cookie);
    if (connection === undefined) {
      if (this.#isStale(view.cookie, moment) || this.#closed.get(view.cookie)?.presumed) return;
      // All that came before was lost; what the record says of the end is true all the same.
      connection = this.#begin(view, 'ESTABLISHED', moment);
      connection.describe(view);
      if (view.durationMicros === 0 && isCounted(moment)) connection.state = 'SYN_SENT';
    } else if (connection.timeNs - SNAPSHOT_SLACK_NS > moment.timeNs) {
      // The end of what this socket was before the snapshot that showed it.
      this.#parts.counters.repeated++;
      return;
    }
    connection.timeNs = Math.max(connection.timeNs, moment.timeNs);
    connection.describe(view);
    const counted = connection.state === 'ESTABLISHED' && isCounted(moment);
    const ending = readEnding(view, moment.micros, counted);
    this.#own(connection, view, moment);
    if (connection.held) connection.ending = ending;
    else this.#close(connection, ending);
  }

  /** A connect that failed before its socket had a cookie: there is nothing to join it with, ever. */
  #neverBegan(view: SocketView, moment: RecordMoment): void {
    const connection = new Connection(view, 'SYN_SENT', moment.micros, moment.timeNs);
    connection.remote = this.#parts.host.remoteOf(connection.remoteIP);
    this.#parts.owners.take(connection, view, moment.flags, moment.micros);
    connection.end(readEnding(view, moment.micros, false));
    this.#parts.announcer.connection(connection);
    this.#parts.announcer.release(connection, moment.micros);
  }

  /** Takes an owner that came after the connection; sends what waited for it, or says so late. */
  #own(connection: Connection, view: SocketView, moment: RecordMoment): void {
    if (!this.#parts.owners.take(connection, view, moment.flags, moment.micros)) return;
    if (connection.held) {
      this.#parts.counters.ownersInTime++;
      this.#letGo(connection);
    } else if (connection.announced) {
      this.#parts.announcer.accepted(connection, moment.micros);
    }
  }

  /** Sends the ESTABLISHED of a held connection, and its end if that came meanwhile. */
  #letGo(connection: Connection): void {
    connection.held = false;
    this.#parts.announcer.connection(connection);
    const { ending } = connection;
    connection.ending = undefined;
    if (ending !== undefined) this.#close(connection, ending);
  }

  #begin(view: SocketView, state: 'SYN_SENT' | 'ESTABLISHED', moment: RecordMoment): Connection {
    const connection = new Connection(view, state, moment.micros, moment.timeNs);
    connection.remote = this.#parts.host.remoteOf(connection.remoteIP);
    this.#closed.delete(connection.cookie);
    this.#open.set(connection.cookie, connection);
    return connection;
  }

  #close(connection: Connection, ending: Ending): void {
    this.#open.delete(connection.cookie);
    connection.end(ending);
    if (connection.process === undefined) this.#parts.counters.ownersMissing++;
    this.#parts.announcer.connection(connection);
    this.#closed.set(connection.cookie, connection);
    this.#parts.announcer.release(connection, ending.endMicros);
  }

  /** It is gone, but nobody said when and why. It is no longer in the table. */
  #presumeClosed(connection: Connection): void {
    if (connection.ending !== undefined) {
      this.#letGo(connection);
      return;
    }
    if (connection.held) this.#letGo(connection);
    this.#parts.counters.presumedClosed++;
    connection.presumed = true;
    const ending = new Ending();
    ending.endMicros = this.#nowMicros;
    this.#close(connection, ending);
  }

  #has(connection: Connection): boolean {
    return this.#open.get(connection.cookie) === connection;
  }

  /** Whether a record tells of a connection that has ended since. */
  #isStale(cookie: number, moment: RecordMoment): boolean {
    const closed = this.#closed.get(cookie);
    if (closed === undefined || closed.timeNs < moment.timeNs) return false;
    this.#parts.counters.repeated++;
    return true;
  }
}
