import { eventFields, eventTypes } from './fields.ts';
import { eventJsonSchemas, type JsonSchema } from './schemas.ts';
import type { EventType } from './types.ts';

/** docs/events.md, made from the schemas. */

const INTRODUCTION = `# Events

Generated from the schemas by \`npm run docs\` in \`libs/events\`; do not edit.

An event is one JSON object. Every event has \`type\`, \`timestamp\` (RFC 3339 in UTC with microseconds, the
kernel's time of the event) and \`nodeName\`. What is not known is absent, never a guess or a zero. Addresses have
one text form: compressed lower-case IPv6, IPv4-mapped IPv6 as IPv4.

On the bus the same events are rows of values in the order of the tables, after the type and without \`nodeName\`;
there \`timestamp\` is integer microseconds since 1970.
`;

/** The whole document, in Markdown (tables not aligned). */
export function eventsMarkdown(): string {
  const schemas = eventJsonSchemas();
  return [INTRODUCTION, ...eventTypes.map((type) => section(type, schemas[type]))].join('\n');
}

function section(type: EventType, schema: JsonSchema): string {
  const fields = schema.properties as Record<string, JsonSchema>;
  const rows = eventFields[type].flatMap((name) => {
    const field = fields[name] ?? {};
    return [row(name, field, presence(name, schema)), ...nested(name, field)];
  });
  return [
    `## ${type}\n`,
    `${String(schema.description)}\n`,
    '| field | type | unit | presence | meaning |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

/** Rows of the named fields of an object inside an event. */
function nested(name: string, field: JsonSchema): string[] {
  const inner = (field.properties ?? {}) as Record<string, JsonSchema>;
  return Object.entries(inner).map(([key, schema]) =>
    row(`${name}.${key}`, schema, presence(key, field)),
  );
}

function presence(name: string, parent: JsonSchema): string {
  return (parent.required as string[]).includes(name) ? 'always' : 'if known';
}

function row(name: string, field: JsonSchema, note: string): string {
  const cells = [`\`${name}\``, typeName(field), field['x-unit'] ?? '', note, field.description];
  return `| ${cells.join(' | ')} |`;
}

function typeName(field: JsonSchema): string {
  if (Array.isArray(field.enum))
    return field.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (field.type === 'array') return `${typeName(field.items as JsonSchema)}[]`;
  if (field.type === 'object' && field.properties === undefined) return 'object of strings';
  return String(field.type);
}
