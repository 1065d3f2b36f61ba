import { z } from 'zod';
import { eventTypes } from './fields.ts';

/**
 * What goes over the bus, besides the binary raw records: MessagePack without extensions. Objects may carry
 * more than is named here, so that a newer publisher can be read by an older reader of the same `v`.
 */

const count = (description: string) => z.int().min(0).meta({ description });
const text = (description: string) => z.string().meta({ description });

const version = z.literal(1).meta({ description: 'Version of this protocol.' });
const node = text('Name of the node.');
const epoch = count('Start of the publisher, ms since 1970; new at each start.');

const rows = {
  fields: z.record(z.string(), z.array(z.string()).max(256)).meta({
    description: 'By type of event: names of the values of its rows, in order, after the type.',
  }),
  events: z.array(z.tuple([z.string()], z.unknown())).meta({
    description:
      'Rows: the type, then its values. Absent is null, trailing nulls may be missing. `timestamp` is ' +
      'integer microseconds since 1970.',
  }),
};

/** `netstatd.<node>.events`: events in the order they happened. */
export const batchSchema = z
  .object({
    v: version,
    node,
    epoch,
    seq: z.int().min(1).meta({ description: 'Number of this batch in the epoch; the first is 1.' }),
    before: count('Events in all earlier batches of the epoch.'),
    lost: count(
      'What `stream.lagged` in those batches say was lost, in sum; absent when 0.',
    ).optional(),
    ...rows,
  })
  .meta({ title: 'batch', description: 'A batch of live events.' });

const cursor = z
  .union([z.int().min(0), z.string().max(256)])
  .meta({ description: 'Where to go on; opaque, as the page before gave it.' });

/** The request on `netstatd.<node>.snapshot`. */
export const snapshotRequestSchema = z
  .object({
    v: version,
    types: z
      .array(z.enum(eventTypes))
      .meta({ description: 'Types of events wanted; all without it.' })
      .optional(),
    filter: z
      .record(z.string(), z.array(z.string()))
      .meta({ description: 'Filter parameters, as on the WebSocket, each with its values.' })
      .optional(),
    limit: z
      .int()
      .min(1)
      .meta({ description: 'At most so many rows, in all pages together.' })
      .optional(),
    after: cursor.optional(),
    pid: z
      .int()
      .min(1)
      .meta({
        description: 'Only this process, even if no connection, container or port names it.',
      })
      .optional(),
  })
  .meta({ title: 'snapshotRequest', description: 'Asks for the state of a node.' });

/** One of the answers on the reply subject; all pages of a snapshot show the same instant. */
export const snapshotPageSchema = z
  .object({
    v: version,
    node,
    epoch,
    seq: count('Last batch of live events that the snapshot includes; 0 before the first.'),
    before: count('Events of the epoch up to that batch.'),
    lost: count(
      'What `stream.lagged` up to that batch say was lost, in sum; absent when 0.',
    ).optional(),
    page: count('Number of this page; the first is 0.'),
    last: z.boolean().meta({ description: 'Whether this is the last page.' }),
    ...rows,
    next: cursor.optional(),
  })
  .meta({ title: 'snapshotPage', description: 'A page of the state of a node.' });

/** The answer to a snapshot request that cannot be served. */
export const snapshotErrorSchema = z
  .object({ v: version, error: text('Why not, in words.') })
  .meta({ title: 'snapshotError', description: 'A snapshot request was refused.' });

/** `netstatd.<node>.status`: the heartbeat of one service. */
export const statusSchema = z
  .object({
    v: version,
    node,
    service: text('collector, enricher, dnstap or gateway.'),
    version: text('Version of the service.'),
    pid: count('Its pid.'),
    startedAt: z.int().min(0).meta({ description: 'Its start, ms since 1970.' }),
    ready: z.boolean().meta({ description: 'Whether it can do its job.' }),
    reason: text('Why it cannot, or what it lacks although it can.').optional(),
    counters: z
      .record(z.string(), z.number())
      .meta({ description: 'Everything seen and everything lost since its start.' }),
    capture: z
      .record(z.string(), z.string())
      .meta({ description: 'The probe that each kind of event comes from.' })
      .optional(),
    info: z
      .record(z.string(), z.unknown())
      .meta({ description: 'What else it has to say.' })
      .optional(),
  })
  .meta({ title: 'status', description: 'Heartbeat of a service, every 2 s.' });

export type BusBatch = z.infer<typeof batchSchema>;
export type SnapshotRequest = z.infer<typeof snapshotRequestSchema>;
export type SnapshotPage = z.infer<typeof snapshotPageSchema>;
export type SnapshotError = z.infer<typeof snapshotErrorSchema>;
export type ServiceStatus = z.infer<typeof statusSchema>;
