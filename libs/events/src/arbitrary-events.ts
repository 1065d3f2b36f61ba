import fc from 'fast-check';
import { eventTypes } from './fields.ts';
import { canonicalIp } from './ip.ts';
import { eventJsonSchemas, type JsonSchema } from './schemas.ts';
import { formatMicros } from './text.ts';
import type { EventType, NetstatdEvent } from './types.ts';

/** Arbitrary events for property tests, made from the schemas: whatever validates can come. */

const hostile = fc.string({
  unit: fc.constantFrom(
    '\ud800',
    '\udc00',
    '"',
    '\\',
    '\u2028',
    '\n',
    '\x1b',
    '\x9b',
    '\u202e',
    'é',
  ),
  maxLength: 8,
});
export const arbitraryText = fc.oneof(
  fc.constantFrom('curl', '/usr/bin/curl', 'web', 'web-1', '0123456789abcdef', 'a'.repeat(64)),
  fc.string({ unit: 'binary', maxLength: 20 }),
  hostile,
);

export const arbitraryIp = fc
  .oneof(
    fc.constantFrom('10.0.0.1', '10.200.3.4', '127.0.0.1', '::1', 'fe80::1', '0.0.0.0', '::'),
    fc.ipV4(),
    fc.ipV6(),
  )
  .map((text) => canonicalIp(text) ?? '::');

export const arbitraryMicros = fc.oneof(
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  fc.integer({ min: 1_700_000_000_000_000, max: 1_700_000_010_000_000 }),
);

function valueOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  const { type, items, additionalProperties, properties, required } = schema;
  if ('const' in schema) return fc.constant(schema.const);
  if (Array.isArray(schema.enum)) return fc.constantFrom(...(schema.enum as unknown[]));
  if (schema.format === 'date-time') return arbitraryMicros.map(formatMicros);
  if (type === 'boolean') return fc.boolean();
  if (type === 'integer') {
    const range = { min: Number(schema.minimum), max: Number(schema.maximum) };
    return fc.oneof(fc.constantFrom(1, 443, 65535), fc.integer(range));
  }
  if (type === 'string') return schema.pattern === undefined ? arbitraryText : arbitraryIp;
  if (type === 'array') return fc.array(valueOf(items as JsonSchema), { maxLength: 3 });
  if (properties === undefined) {
    const key = arbitraryText.filter((text) => text !== '__proto__');
    return fc.dictionary(key, valueOf(additionalProperties as JsonSchema), { maxKeys: 3 });
  }
  const fields = Object.entries(properties as Record<string, JsonSchema>);
  return fc.record(Object.fromEntries(fields.map(([name, field]) => [name, valueOf(field)])), {
    requiredKeys: required as string[],
    noNullPrototype: true,
  });
}

const schemas = eventJsonSchemas();

/** An arbitrary event of one of these types; of any type without them. */
export function arbitraryEvent(...types: readonly EventType[]): fc.Arbitrary<NetstatdEvent> {
  const chosen = types.length > 0 ? types : eventTypes;
  return fc.oneof(
    ...chosen.map((type) => valueOf(schemas[type]) as unknown as fc.Arbitrary<NetstatdEvent>),
  );
}
