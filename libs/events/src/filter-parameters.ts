import { columns, eventTypes, isEventType } from './fields.ts';
import { isLoopback, parseNetwork } from './ip.ts';
import { directions, protocols, tcpStates } from './names.ts';
import type { EventRow } from './rows.ts';
import type { EventType } from './types.ts';

/**
 * The parameters by which events are filtered, on the WebSocket, in REST and as flags of the command line.
 * Everything that is said about them (OpenAPI, help texts, errors) is made from this table.
 */

/** Decides about one row of one type of event. */
export type RowTest = (row: EventRow) => boolean;

/** One filter parameter. */
export interface FilterParameter {
  readonly name: string;
  readonly description: string;
  /** What a value may be, in words: `allowed: …`. */
  readonly allowed: string;
  /** JSON Schema of one value as it is written in a URL. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** Whether several values may be given; a row matches when any of them does. */
  readonly repeatable: boolean;
  /** The canonical form of a value, undefined when it is not allowed. */
  readonly parse: (value: string) => string | undefined;
  /**
   * The test of the rows of a type of event against canonical values. `nothing` is returned for a type that
   * lacks the field; undefined when the parameter says nothing about rows of this type.
   */
  readonly test: (type: EventType, values: ReadonlySet<string>) => RowTest | undefined;
}

/** The test of rows that lack the field which a parameter asks for. */
export const nothing: RowTest = () => false;

/** Longest value of a parameter, characters. */
export const MAX_VALUE_LENGTH = 256;
/** Most values of one parameter. */
export const MAX_VALUES = 64;

/** Events about no connection, container, process or port: only `type` and `node` exclude them. */
const general: ReadonlySet<EventType> = new Set<EventType>([
  'host.info',
  'snapshot.complete',
  'node.up',
  'node.down',
  'node.lost',
  'stream.lagged',
]);

/** Indexes of those of the named fields that rows of a type have. */
function indexes(type: EventType, names: readonly string[]): number[] {
  const known: Readonly<Partial<Record<string, number>>> = columns[type];
  return names.flatMap((name) => known[name] ?? []);
}

/** A parameter that compares fields: a row matches when any of these fields passes. */
function onFields(
  names: readonly string[],
  matcher: (values: ReadonlySet<string>) => (value: unknown) => boolean,
): FilterParameter['test'] {
  return (type, values) => {
    if (general.has(type)) return undefined;
    const at = indexes(type, names);
    const matches = matcher(values);
    if (at.length === 0) return nothing;
    return (row) => at.some((index) => matches(row[index]));
  };
}

const oneOf = (values: ReadonlySet<string>) => (value: unknown) =>
  typeof value === 'string' && values.has(value);

const oneOfNumbers = (values: ReadonlySet<string>) => {
  const numbers = new Set<unknown>([...values].map(Number));
  return (value: unknown) => numbers.has(value);
};

function inNetworks(values: ReadonlySet<string>): (value: unknown) => boolean {
  const networks = [...values].flatMap((value) => parseNetwork(value) ?? []);
  const matches = (ip: unknown): boolean =>
    typeof ip === 'string' && networks.some((network) => network.contains(ip));
  return (value) => (Array.isArray(value) ? value.some(matches) : matches(value));
}

/** Compares executables: a value with a slash is a whole path, another is the last part of one. */
const executables = (values: ReadonlySet<string>) => (value: unknown) =>
  typeof value === 'string' &&
  (values.has(value) || values.has(value.slice(value.lastIndexOf('/') + 1)));

/** Compares container ids: whole, or by a prefix of at least 12 hexadecimal digits. */
function containers(values: ReadonlySet<string>): (value: unknown) => boolean {
  const prefixes = [...values].filter((value) => /^[0-9a-f]{12,}$/.test(value));
  return (value) =>
    typeof value === 'string' &&
    (values.has(value) || prefixes.some((prefix) => value.startsWith(prefix)));
}

const testFamily: FilterParameter['test'] = (type, values) => {
  const [ip] = indexes(type, ['ip']);
  if (ip === undefined) return onFields(['family'], oneOfNumbers)(type, values);
  return (row) => {
    const value = row[ip];
    return typeof value === 'string' && values.has(value.includes(':') ? '6' : '4');
  };
};

const testLoopback: FilterParameter['test'] = (type, values) => {
  const at = indexes(type, ['localIP', 'remoteIP', ...(type.startsWith('port.') ? ['ip'] : [])]);
  if (values.has('true') || at.length === 0) return undefined;
  return (row) =>
    !at.some((index) => {
      const ip = row[index];
      return typeof ip === 'string' && isLoopback(ip);
    });
};

function parameter(
  name: string,
  allowed: string,
  description: string,
  rest: Pick<FilterParameter, 'parse' | 'test'> & Partial<FilterParameter>,
): FilterParameter {
  return { name, allowed, description, repeatable: true, schema: { type: 'string' }, ...rest };
}

/** One of a list of names, in any case. */
function choice(names: readonly string[]) {
  return {
    schema: { type: 'string', enum: [...names] },
    parse: (value: string) => names.find((name) => name.toLowerCase() === value.toLowerCase()),
  };
}

const flag = { ...choice(['true', 'false']), repeatable: false };

/** Text of a form, e.g. a name. */
function pattern(form: RegExp) {
  return {
    schema: { type: 'string', pattern: form.source, maxLength: MAX_VALUE_LENGTH },
    parse: (value: string) => (form.test(value) ? value : undefined),
  };
}

const DNS_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const NODE_NAME = /^[A-Za-z0-9]([-_A-Za-z0-9.]{0,251}[A-Za-z0-9])?$/;

/** Every filter parameter. */
export const filterParameters: readonly FilterParameter[] = [
  parameter('namespace', 'a Kubernetes namespace', 'Kubernetes namespace of the pod.', {
    ...pattern(DNS_NAME),
    test: onFields(['namespace'], oneOf),
  }),
  parameter('pod', 'the name of a pod', 'Name of the pod.', {
    ...pattern(DNS_NAME),
    test: onFields(['podName'], oneOf),
  }),
  parameter(
    'container',
    'a container id, its first 12 or more digits, or the name of a container',
    'Container, by its id, the start of its id, or its name in the pod.',
    {
      ...pattern(/^[A-Za-z0-9][-_.A-Za-z0-9]*$/),
      test: onFields(['containerUid', 'containerName'], containers),
    },
  ),
  parameter('node', 'the name of a node', 'Name of the node.', {
    ...pattern(NODE_NAME),
    test: () => undefined,
  }),
  parameter('protocol', 'TCP or UDP', 'Transport protocol.', {
    ...choice(protocols),
    test: onFields(['protocol'], oneOf),
  }),
  parameter('state', `one of ${tcpStates.join(', ')}`, 'TCP state that was reached.', {
    ...choice(tcpStates),
    test: onFields(['state'], oneOf),
  }),
  parameter('port', 'an integer from 1 to 65535', 'Port of either end.', {
    schema: { type: 'integer', minimum: 1, maximum: 65535 },
    parse: (value) => (/^[1-9]\d{0,4}$/.test(value) && Number(value) <= 65535 ? value : undefined),
    test: onFields(['localPort', 'remotePort', 'port'], oneOfNumbers),
  }),
  parameter(
    'ip',
    'an IPv4 or IPv6 address or a CIDR, such as 10.0.0.0/8',
    'Address of either end, before or after NAT; or a network that holds it.',
    {
      schema: { type: 'string', maxLength: MAX_VALUE_LENGTH },
      parse: (value) => parseNetwork(value)?.text,
      test: onFields(['localIP', 'remoteIP', 'actualRemoteIP', 'ip', 'podIPs'], inNetworks),
    },
  ),
  parameter('family', '4 or 6', 'IP version.', {
    schema: { type: 'integer', enum: [4, 6] },
    parse: (value) => (value === '4' || value === '6' ? value : undefined),
    test: testFamily,
  }),
  parameter(
    'exe',
    'the path of an executable or its last part',
    'Executable, by its path or the last part of it.',
    {
      schema: { type: 'string', minLength: 1, maxLength: MAX_VALUE_LENGTH },
      parse: (value) => (value === '' ? undefined : value),
      test: onFields(['exe'], executables),
    },
  ),
  parameter('direction', 'outbound or inbound', 'Which end connected or sent first.', {
    ...choice(directions),
    test: onFields(['direction'], oneOf),
  }),
  parameter(
    'type',
    `one of ${eventTypes.join(', ')}`,
    'Type of event. snapshot.complete and stream.lagged always come.',
    {
      schema: { type: 'string', enum: [...eventTypes] },
      parse: (value) => (isEventType(value) ? value : undefined),
      test: (type, values) =>
        values.has(type) || type === 'snapshot.complete' || type === 'stream.lagged'
          ? undefined
          : nothing,
    },
  ),
  parameter('loopback', 'true or false', 'false hides connections and ports on loopback.', {
    ...flag,
    test: testLoopback,
  }),
  parameter('snapshot', 'true or false', 'false skips the opening state.', {
    ...flag,
    test: () => undefined,
  }),
];
