import { openConntrack } from '@netstatd/client';
import type { Conntrack } from '@netstatd/client';
import type { ConnectionEvent, NetstatdEvent } from '@netstatd/events';
import type { Connections } from './connections.ts';
import type { Loss, Stream } from './view.ts';

/** The events that a table of connections is made of. */
const TYPES = [
  'host.info',
  'connection.event',
  'connection.accepted',
  'node.up',
  'node.down',
  'node.lost',
] as const;

/** Keeps a table as a gateway tells it, and knows what was lost on the way. */
export class Feed implements Stream {
  readonly url: string;
  away: string | undefined = 'connecting …';
  /** Connections that could not be made, or ended. */
  failures = 0;
  readonly lost = new Map<string, Loss>();
  readonly #table: Connections;
  readonly #conntrack: Conntrack;

  /** `onRefused`: the gateway will not have this request. `now`: ms since 1970. */
  constructor(
    url: string,
    query: readonly (readonly [string, string])[],
    table: Connections,
    parts: { now: () => number; onRefused: (reason: string) => void },
  ) {
    this.url = url;
    this.#table = table;
    const types = TYPES.map((type) => ['type', type] as const);
    this.#conntrack = openConntrack(url, [...query, ...types], {
      batch: true,
      onEvent: (event) => this.#take(event, parts.now()),
      onLagged: ({ dropped, place, nodeName }) => {
        this.#lose(place ?? 'somewhere', dropped);
        table.expectOpening(nodeName);
      },
      onOpen: () => {
        this.away = undefined;
        table.expectOpening();
      },
      onClose: (reason, retryInMs) => {
        this.failures++;
        // What was never there cannot be lost.
        if (this.away === undefined) this.#lose('connection', undefined);
        this.away = `${reason || 'no answer'}; trying again in ${(retryInMs / 1000).toFixed(1)} s`;
      },
      onRefused: (reason) => parts.onRefused(reason),
    });
  }

  close(): void {
    this.#conntrack.close();
  }

  #take(event: NetstatdEvent, now: number): void {
    switch (event.type) {
      case 'connection.event':
      case 'connection.accepted':
        if (isWhole(event)) this.#table.apply(event, now);
        break;
      case 'host.info':
        this.#table.begin(event.nodeName);
        break;
      case 'snapshot.complete':
        this.#table.complete(event.nodeName, now);
        break;
      case 'node.up':
        this.#table.expectOpening(event.nodeName);
        break;
      case 'node.down':
      case 'node.lost':
        this.#table.forget(event.nodeName, now);
        break;
      default:
    }
  }

  #lose(place: string, events: number | undefined): void {
    const loss = this.lost.get(place) ?? { events: 0, unknown: 0 };
    if (events === undefined) loss.unknown++;
    else loss.events += events;
    this.lost.set(place, loss);
  }
}

/** A gateway's word is not checked field by field; without these there is nothing to show. */
function isWhole({ protocol, state, remoteIP }: Partial<ConnectionEvent>): boolean {
  return [protocol, state, remoteIP].every((field) => typeof field === 'string');
}
