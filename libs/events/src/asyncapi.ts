import {
  batchSchema,
  snapshotErrorSchema,
  snapshotPageSchema,
  snapshotRequestSchema,
  statusSchema,
} from './bus-schemas.ts';
import { eventTypes } from './fields.ts';
import { filterParameters } from './filter-parameters.ts';
import { eventJsonSchemas, jsonSchema, type JsonSchema } from './schemas.ts';

/** The AsyncAPI 3 document of the WebSocket and of the bus, made from the schemas that the code checks with. */

/** The WebSocket subprotocol in which a frame is an array of events. */
export const BATCH_SUBPROTOCOL = 'netstatd.v1.batch';

interface Channel {
  readonly address: string;
  readonly server: 'gateway' | 'bus';
  readonly description: string;
  readonly messages: readonly string[];
  readonly bindings?: JsonSchema;
}

const MSGPACK = 'application/msgpack';

const ref = (...path: readonly string[]) => ({ $ref: `#/${path.join('/')}` });
const schemaRef = (name: string) => ref('components', 'schemas', name);

/** Messages that are not single events: the payload's schema and how it is encoded. */
const others: Readonly<Record<string, { contentType: string; schema: JsonSchema }>> = {
  eventFrame: {
    contentType: 'application/json',
    schema: {
      title: 'eventFrame',
      description: `Events of at most 50 ms, for clients that ask for ${BATCH_SUBPROTOCOL}.`,
      type: 'array',
      items: { oneOf: eventTypes.map(schemaRef) },
    },
  },
  batch: { contentType: MSGPACK, schema: jsonSchema(batchSchema) },
  snapshotRequest: { contentType: MSGPACK, schema: jsonSchema(snapshotRequestSchema) },
  snapshotPage: { contentType: MSGPACK, schema: jsonSchema(snapshotPageSchema) },
  snapshotError: { contentType: MSGPACK, schema: jsonSchema(snapshotErrorSchema) },
  status: { contentType: MSGPACK, schema: jsonSchema(statusSchema) },
};

const channels: Readonly<Record<string, Channel>> = {
  conntrack: {
    address: '/conntrack',
    server: 'gateway',
    description:
      'For a new client, of each node: host.info, container.added, process.metainfo, port.listening and ' +
      'connection.event for all there is, snapshot.complete, then live events. Port 5280 serves one node, ' +
      `6280 all. One event a frame, or arrays of events with the subprotocol ${BATCH_SUBPROTOCOL}.`,
    messages: [...eventTypes, 'eventFrame'],
    bindings: {
      ws: {
        method: 'GET',
        query: {
          type: 'object',
          additionalProperties: false,
          properties: Object.fromEntries(
            filterParameters.map(({ name, description, allowed, schema, repeatable }) => [
              name,
              {
                description: `${description} Allowed: ${allowed}.`,
                ...(repeatable ? { type: 'array', items: schema } : schema),
              },
            ]),
          ),
        },
      },
    },
  },
  events: {
    address: 'netstatd.{node}.events',
    server: 'bus',
    description:
      'Live events of a node. A jump in seq, or a new epoch, means that batches were missed.',
    messages: ['batch'],
  },
  snapshot: {
    address: 'netstatd.{node}.snapshot',
    server: 'bus',
    description: 'Request and reply: the state of a node, in pages.',
    messages: ['snapshotRequest'],
  },
  snapshotReply: {
    address: '{inbox}',
    server: 'bus',
    description: 'The reply subject of a snapshot request.',
    messages: ['snapshotPage', 'snapshotError'],
  },
  status: {
    address: 'netstatd.{node}.status',
    server: 'bus',
    description: 'Heartbeats of the services of a node.',
    messages: ['status'],
  },
};

const parameters: Readonly<Record<string, string>> = {
  node: 'Name of the node, with _ for each dot.',
  inbox: 'A subject of the reader’s own choice.',
};

/** The AsyncAPI 3.0 document; `version` is that of the software. */
export function asyncApiDocument({ version }: { version: string }): JsonSchema {
  const schemas: Record<string, JsonSchema> = {
    ...eventJsonSchemas(),
    ...mapValues(others, ({ schema }) => schema),
  };
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'netstatd',
      version,
      description: 'Every connection on every node, as events: by WebSocket and on the bus (NATS).',
      license: { name: 'Apache-2.0' },
    },
    servers: {
      gateway: { host: 'localhost:5280', protocol: 'ws', description: 'The gateway of a node.' },
      bus: { host: 'localhost:4222', protocol: 'nats', description: 'The bus of a node.' },
    },
    channels: mapValues(channels, channelObject),
    operations: {
      ...Object.fromEntries(
        ['conntrack', 'events', 'status'].map((name) => [name, operation('send', name)]),
      ),
      snapshot: {
        ...operation('receive', 'snapshot'),
        reply: {
          channel: ref('channels', 'snapshotReply'),
          messages: messageRefs('snapshotReply'),
        },
      },
    },
    components: {
      schemas,
      messages: Object.fromEntries(
        Object.entries(schemas).map(([name, schema]) => [
          name,
          message(name, others[name]?.contentType ?? 'application/json', schema),
        ]),
      ),
    },
  };
}

function channelObject({ address, server, description, messages, bindings }: Channel): JsonSchema {
  const names = [...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '');
  return {
    address,
    description,
    servers: [ref('servers', server)],
    messages: Object.fromEntries(
      messages.map((name) => [name, ref('components', 'messages', name)]),
    ),
    ...(names.length > 0 && {
      parameters: Object.fromEntries(
        names.map((name) => [name, { description: parameters[name] }]),
      ),
    }),
    ...(bindings && { bindings }),
  };
}

function message(name: string, contentType: string, schema: JsonSchema): JsonSchema {
  return { name, contentType, summary: schema.description, payload: schemaRef(name) };
}

function operation(action: 'send' | 'receive', channel: string): JsonSchema {
  return { action, channel: ref('channels', channel), messages: messageRefs(channel) };
}

function messageRefs(channel: string): JsonSchema[] {
  return (channels[channel]?.messages ?? []).map((name) =>
    ref('channels', channel, 'messages', name),
  );
}

function mapValues<T, R>(
  object: Readonly<Record<string, T>>,
  change: (value: T) => R,
): Record<string, R> {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
}
