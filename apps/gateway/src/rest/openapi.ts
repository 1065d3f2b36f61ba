import { eventJsonSchemas, filterParameters, jsonSchema } from '@netstatd/events';
import { answers, lists, problemSchema } from './answers.ts';
import { containerAliases, defaultLimit, maxLimit } from './query.ts';

type Json = Record<string, unknown>;

const problem = (description: string): Json => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
});

const ok = (schema: Json): Json => ({
  description: 'The answer.',
  content: { 'application/json': { schema } },
});

const filters: readonly Json[] = filterParameters
  .filter(({ name }) => name !== 'snapshot')
  .map(({ name, description, allowed, schema, repeatable }) => ({
    name,
    in: 'query',
    description: `${description} Allowed: ${allowed}.`,
    schema: repeatable ? { type: 'array', items: schema } : schema,
    ...(repeatable ? { style: 'form', explode: true } : {}),
  }));

/** Parameters that are other names of filters, by the path that has them. */
const aliases: Readonly<Partial<Record<string, readonly Json[]>>> = {
  '/api/containers': Object.entries(containerAliases).map(([name, filter]) => {
    const meant = filters.find((each) => each.name === filter);
    return { ...meant, name, description: `The same as \`${filter}\`.` };
  }),
};

const paging: readonly Json[] = [
  {
    name: 'limit',
    in: 'query',
    description: 'At most so many items.',
    schema: { type: 'integer', minimum: 1, maximum: maxLimit, default: defaultLimit },
  },
  {
    name: 'cursor',
    in: 'query',
    description: 'The "next" of an earlier answer.',
    schema: { type: 'string' },
  },
];

const pidParameters: readonly Json[] = [
  { name: 'pid', in: 'query', required: true, schema: { type: 'integer', minimum: 1 } },
  {
    name: 'node',
    in: 'query',
    description: 'Needed where there are several nodes.',
    schema: { type: 'string' },
  },
];

/** Lists that know only some of the filters; the others know all. */
const ownFilters: Readonly<Partial<Record<string, readonly string[]>>> = {
  '/api/services': ['port', 'protocol'],
  '/api/nodes': ['node'],
};

const errors = {
  400: problem('A parameter is wrong, missing or unknown; "parameter" names it.'),
  405: problem('Another method than GET or HEAD.'),
  503: problem('The node’s enricher does not answer.'),
};

const summaries: Readonly<Record<keyof typeof lists | keyof typeof answers, string>> = {
  '/api/containers': 'Containers.',
  '/api/connections': 'Open connections, ordered by socket cookie.',
  '/api/ports': 'Listening ports.',
  '/api/processes': 'Processes that connections, ports or containers name.',
  '/api/ips': 'Addresses in use.',
  '/api/nodes': 'Nodes, also those that are missed.',
  '/api/dns': 'Names of addresses.',
  '/api/services': 'Names of ports.',
  '/api/pid-exe': 'The executable of a process.',
  '/api/status': 'What every service says of itself: counters, losses, readiness.',
};

/** The OpenAPI 3.1 document of the gateway, made from the schemas that its answers are checked with. */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const [path, schema] of Object.entries(lists)) {
    const own = ownFilters[path];
    const parameters =
      own === undefined ? filters : filters.filter((each) => own.includes(each.name as string));
    paths[path] = {
      get: {
        summary: summaries[path as keyof typeof lists],
        parameters: [...parameters, ...(aliases[path] ?? []), ...paging],
        responses: { 200: ok(jsonSchema(schema)), ...errors },
      },
    };
  }
  for (const [path, schema] of Object.entries(answers)) {
    const isPid = path === '/api/pid-exe';
    paths[path] = {
      get: {
        summary: summaries[path as keyof typeof answers],
        parameters: isPid ? pidParameters : [],
        responses: {
          200: ok(jsonSchema(schema)),
          ...errors,
          ...(isPid ? { 404: problem('The process is not known.') } : {}),
        },
      },
    };
  }
  for (const [path, summary] of Object.entries(plain)) {
    paths[path] = { get: { summary, responses: { 200: { description: summary } } } };
  }
  paths['/readyz'] = {
    get: {
      summary: 'Whether the gateway can do its job.',
      responses: {
        200: { description: 'It can.' },
        503: problem('It cannot; "reasons" says why.'),
      },
    },
  };
  return {
    openapi: '3.1.0',
    info: {
      title: 'netstatd',
      version,
      description: 'Port 5280 answers for its node, port 6280 for all nodes.',
    },
    paths,
    components: { schemas: { Problem: jsonSchema(problemSchema), ...eventJsonSchemas() } },
  };
}

const plain = {
  '/openapi.json': 'This document.',
  '/asyncapi.json': 'The WebSocket and the bus, as AsyncAPI 3.',
  '/healthz': 'The gateway lives.',
  '/metrics': 'Prometheus text.',
};
