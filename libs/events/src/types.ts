import type { z } from 'zod';
import type { tcpStates } from './names.ts';
import type { eventSchemas, remoteSchema } from './schemas.ts';

/** The types of the events, inferred from their schemas; units and meanings are described there. */

/** The name of a kind of event, e.g. `connection.event`. */
export type EventType = keyof typeof eventSchemas;
/** The event of one type, as one JSON object of the WebSocket. */
export type EventOf<T extends EventType> = z.infer<(typeof eventSchemas)[T]>;
/** Any event; `type` tells which. */
export type NetstatdEvent = { [T in EventType]: EventOf<T> }[EventType];

export type HostInfo = EventOf<'host.info'>;
export type ContainerEvent = EventOf<'container.added' | 'container.deleted'>;
export type ProcessMetainfo = EventOf<'process.metainfo'>;
export type ConnectionEvent = EventOf<'connection.event' | 'connection.accepted'>;
export type PortEvent = EventOf<'port.listening' | 'port.closed'>;
export type DnsAnswer = EventOf<'dns.answer'>;
export type SnapshotComplete = EventOf<'snapshot.complete'>;
export type NodeEvent = EventOf<'node.up' | 'node.down' | 'node.lost'>;
export type StreamLagged = EventOf<'stream.lagged'>;

export type Protocol = ConnectionEvent['protocol'];
export type Family = ConnectionEvent['family'];
export type ConnectionState = (typeof tcpStates)[number];
export type ConnectionDirection = NonNullable<ConnectionEvent['direction']>;
export type CloseReason = NonNullable<ConnectionEvent['closeReason']>;
export type Remote = z.infer<typeof remoteSchema>;
/** Where events were lost, as `stream.lagged` names it. */
export type LagPlace = NonNullable<StreamLagged['place']>;
