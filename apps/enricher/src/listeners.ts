import { makeRow, type EventRow } from '@netstatd/events';
import { RecordFlag, SocketKind, type SocketView } from '@netstatd/records';
import type { Announcer } from './announcer.ts';
import { BoundedMap } from './bounded-map.ts';
import type { Connection } from './connection.ts';
import type { Counters } from './counters.ts';
import type { Host } from './host.ts';
import { LastSnapshot } from './last-snapshot.ts';
import type { Limits } from './limits.ts';
import type { NetnsAddresses } from './netns-addresses.ts';
import { Listener, placeOf } from './listener.ts';
import type { Owners } from './owners.ts';
import type { RecordMoment } from './parts.ts';
import { useOf, type TableUse } from './table.ts';

/**
 * Listening ports of every network namespace, by socket. Clients see one row per endpoint and process, however many
 * sockets of the process share it: port.listening with the first, port.closed with the last.
 */
export class Listeners {
  readonly #announcer: Announcer;
  readonly #owners: Owners;
  readonly #host: Host;
  readonly #netns: NetnsAddresses;
  readonly #counters: Counters;
  readonly #byCookie: BoundedMap<number, Listener>;
  /** Sockets by endpoint, and by place whoever owns them. */
  readonly #endpoints = new Map<string, Set<Listener>>();
  readonly #places = new Map<string, number>();
  readonly #last = new LastSnapshot();
  #nowMicros = 0;

  constructor(
    parts: {
      announcer: Announcer;
      owners: Owners;
      host: Host;
      netns: NetnsAddresses;
      counters: Counters;
    },
    limits: Pick<Limits, 'listeners'>,
  ) {
    this.#announcer = parts.announcer;
    this.#owners = parts.owners;
    this.#host = parts.host;
    this.#netns = parts.netns;
    this.#counters = parts.counters;
    this.#byCookie = new BoundedMap(limits.listeners, (listener) => this.#close(listener));
  }

  get size(): number {
    return this.#byCookie.size;
  }
  get evicted(): number {
    return this.#byCookie.evicted;
  }
  tables(): TableUse[] {
    return [useOf('listeners', this.#byCookie)];
  }
  values(): IterableIterator<Listener> {
    return this.#byCookie.values();
  }
  get(cookie: number): Listener | undefined {
    return this.#byCookie.get(cookie);
  }

  /** Those that others hold since their owner has ended, and whose holders were not sought yet. */
  outlived(): Listener[] {
    const found: Listener[] = [];
    for (const listener of this.#byCookie.values()) {
      if (listener.process?.exited && !listener.holderSought) found.push(listener);
    }
    return found;
  }

  /** One listener per endpoint and process. */
  *endpoints(): Iterable<Listener> {
    for (const sockets of this.#endpoints.values()) {
      const [first] = sockets;
      if (first !== undefined) yield first;
    }
  }

  /** Whether a listener of the same network namespace takes connections to where this one's near end is. */
  accepts({ netns, localPort, localIP }: Connection): boolean {
    if (localPort === undefined) return false;
    return ['0.0.0.0', '::', localIP ?? ''].some((ip) =>
      this.#places.has(placeOf('TCP', netns, localPort, ip)),
    );
  }

  take(kind: number, view: SocketView, moment: RecordMoment, snapshot: number): void {
    this.#nowMicros = moment.micros;
    if (kind === SocketKind.LISTENING || kind === SocketKind.BOUND) {
      this.#opened(kind, view, moment, snapshot);
      return;
    }
    const listener = this.#byCookie.get(view.cookie);
    if (listener === undefined || listener.timeNs > moment.timeNs) return;
    this.#byCookie.delete(view.cookie);
    this.#close(listener);
  }

  /** A snapshot begun at `beginNs` is complete; see Connections. */
  complete(snapshot: number, beginNs: number): void {
    this.#last.take(snapshot, beginNs);
  }

  /** Closes the ports that the last snapshot did not show and of whose end no record told. */
  settle(): void {
    for (const listener of this.#byCookie.values()) {
      if (!this.#last.misses(listener)) continue;
      this.#byCookie.delete(listener.cookie);
      this.#close(listener);
    }
  }

  /** Sends port.listening as it is now. */
  tell(listener: Listener): void {
    const row = this.row('port.listening', listener, listener.sinceMicros);
    this.#announcer.send(row, listener.container, listener.endpoint);
  }

  /** The row of a port. */
  row(type: 'port.listening' | 'port.closed', listener: Listener, micros: number): EventRow {
    return makeRow(type, {
      timestamp: micros,
      protocol: listener.protocol,
      ip: listener.ip,
      port: listener.port,
      netns: listener.netns,
      isHostNetNS: this.#host.isHostNetns(listener.netns),
      pid: listener.process?.pid,
      exe: listener.exe,
      containerUid: listener.container?.containerUid,
      podName: listener.container?.podName,
      namespace: listener.container?.namespace,
      containerName: listener.container?.containerName,
      addresses: this.#netns.behind(listener.ip, listener.netns, listener.process),
    });
  }

  #opened(kind: number, view: SocketView, moment: RecordMoment, snapshot: number): void {
    const shown = (moment.flags & RecordFlag.SNAPSHOT) !== 0;
    let listener = this.#byCookie.get(view.cookie);
    if (listener !== undefined) {
      if (shown) listener.seen = snapshot;
      if (listener.port === view.localPort && listener.ip === view.localAddress) {
        this.#counters.repeated++;
        if (listener.process?.exited !== false) this.#own(listener, view, moment);
        return;
      }
      if (listener.timeNs >= moment.timeNs) return;
      // Closed, and opened elsewhere: what was said in between was lost.
      this.#byCookie.delete(view.cookie);
      this.#close(listener);
    }
    // A client's socket has a port too, which the kernel chose: only a snapshot shows those as bound.
    const chosen = kind === SocketKind.BOUND && shown && !(moment.flags & RecordFlag.PORT_ASKED);
    if (chosen || view.localPort === 0) return;
    listener = new Listener(view, moment.micros, moment.timeNs);
    if (shown) listener.seen = snapshot;
    this.#owners.take(listener, view, moment.flags, moment.micros);
    this.#byCookie.set(view.cookie, listener);
    this.#places.set(listener.place, (this.#places.get(listener.place) ?? 0) + 1);
    this.#print(listener);
  }

  /** The owner of a port became known, or another has held it since its owner ended: its row is another one now. */
  #own(listener: Listener, view: SocketView, moment: RecordMoment): void {
    const { endpoint, process, container, exe, comm, uid } = listener;
    if (process?.pid === view.pid && process.startNs === view.ownerStartNs) return;
    const before = this.row('port.closed', listener, moment.micros);
    listener.process = undefined;
    if (!this.#owners.take(listener, view, moment.flags, moment.micros)) {
      listener.process = process;
      return;
    }
    listener.holderSought = false;
    if (this.#drop(listener, endpoint)) this.#announcer.send(before, container, endpoint);
    this.#announcer.release({ process, container, exe, comm, uid }, moment.micros);
    this.#print(listener);
  }

  #print(listener: Listener): void {
    const sockets = this.#endpoints.get(listener.endpoint);
    if (sockets !== undefined) {
      sockets.add(listener);
      return;
    }
    this.#endpoints.set(listener.endpoint, new Set([listener]));
    this.tell(listener);
  }

  #close(listener: Listener): void {
    const { place, endpoint } = listener;
    const left = (this.#places.get(place) ?? 1) - 1;
    if (left === 0) this.#places.delete(place);
    else this.#places.set(place, left);
    const [told] = this.#endpoints.get(endpoint) ?? [];
    const last = this.#drop(listener, endpoint);
    const [next] = this.#endpoints.get(endpoint) ?? [];
    // A pid that was given again: the port is another container's from here on.
    const passed = told === listener && next !== undefined && next.container !== told.container;
    if (last || passed) {
      const row = this.row('port.closed', listener, this.#nowMicros);
      this.#announcer.send(row, listener.container, endpoint);
    }
    if (passed) this.tell(next);
    this.#announcer.release(listener, this.#nowMicros);
  }

  /** @returns whether it was the last socket of its endpoint */
  #drop(listener: Listener, endpoint: string): boolean {
    const sockets = this.#endpoints.get(endpoint);
    sockets?.delete(listener);
    if (sockets === undefined || sockets.size > 0) return false;
    this.#endpoints.delete(endpoint);
    return true;
  }
}
