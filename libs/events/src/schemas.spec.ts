import Ajv2020 from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { arbitraryEvent } from './arbitrary-events.ts';
import { asyncApiDocument } from './asyncapi.ts';
import {
  batchSchema,
  snapshotPageSchema,
  snapshotRequestSchema,
  statusSchema,
} from './bus-schemas.ts';
import { eventFields, eventTypes } from './fields.ts';
import { toRow } from './rows.ts';
import { eventJsonSchemas, parseEvent } from './schemas.ts';

const ajv = () => new Ajv2020({ strict: false, formats: { 'date-time': true } });

interface Document {
  channels: Record<string, { address: string; messages: object; parameters?: object }>;
  operations: Record<string, { action: string }>;
  components: { schemas: Record<string, object>; messages: Record<string, object> };
}
const document = asyncApiDocument({ version: '1.2.3' }) as unknown as Document;

/** Every object below a value, itself first. */
function* objects(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return;
  yield value as Record<string, unknown>;
  for (const inner of Object.values(value)) yield* objects(inner);
}

describe('event schemas', () => {
  const validators = Object.fromEntries(
    Object.entries(eventJsonSchemas()).map(([type, schema]) => [type, ajv().compile(schema)]),
  );

  it('accept events, by zod and by JSON Schema alike', () => {
    fc.assert(
      fc.property(arbitraryEvent(), (event) => {
        expect(parseEvent(event)).toEqual({ event });
        expect(validators[event.type]?.(event)).toBe(true);
      }),
    );
  });

  it('refuse a strange field, a missing one and a wrong type, and say where', () => {
    const good = {
      type: 'stream.lagged',
      timestamp: '2025-01-01T00:00:00.000000Z',
      nodeName: 'n',
      dropped: 1,
    };
    expect(parseEvent(good)).toEqual({ event: good });
    const bad = [
      { ...good, strange: 1 },
      { ...good, dropped: -1 },
      { ...good, dropped: '1' },
      { ...good, timestamp: '2025-01-01T00:00:00.000Z' },
      { ...good, nodeName: undefined },
    ];
    for (const value of bad) {
      expect(parseEvent(value)).toEqual({ error: expect.stringMatching(/: ./) as string });
      expect(validators['stream.lagged']?.(value)).toBe(false);
    }
    expect(parseEvent({ ...good, type: 'x' })).toHaveProperty('error');
    expect(parseEvent(null)).toHaveProperty('error');
  });

  it('describe every field, and give a unit to everything measured', () => {
    for (const schema of Object.values(eventJsonSchemas())) {
      const fields = (schema.properties ?? {}) as Record<string, Record<string, unknown>>;
      for (const [name, field] of Object.entries(fields)) {
        if (name === 'type') continue;
        expect([name, field.description]).toEqual([name, expect.stringMatching(/\.$/)]);
        if (/Micros|bytes|^ttl|retransmits|dropped/i.test(name))
          expect([name, field['x-unit']]).toEqual([name, expect.any(String)]);
      }
    }
  });
});

describe('bus schemas', () => {
  it('accept what is published, and what a later publisher adds', () => {
    fc.assert(
      fc.property(fc.array(arbitraryEvent()), (events) => {
        const batch = {
          v: 1,
          node: 'n',
          epoch: 1,
          seq: 1,
          before: 0,
          fields: eventFields,
          events: events.map(toRow),
          later: true,
        };
        expect(batchSchema.safeParse(batch).success).toBe(true);
        expect(snapshotPageSchema.safeParse({ ...batch, page: 0, last: true }).success).toBe(true);
      }),
    );
    expect(snapshotRequestSchema.safeParse({ v: 1, filter: { port: ['80'] } }).success).toBe(true);
  });

  it('refuse another version and broken values', () => {
    expect(snapshotRequestSchema.safeParse({ v: 2 }).success).toBe(false);
    expect(snapshotRequestSchema.safeParse({ v: 1, types: ['x'] }).success).toBe(false);
    expect(snapshotRequestSchema.safeParse({ v: 1, limit: 0 }).success).toBe(false);
    expect(statusSchema.safeParse({ v: 1, node: 'n' }).success).toBe(false);
  });
});

describe('the AsyncAPI document', () => {
  it('is plain JSON whose references all lead somewhere', () => {
    expect(JSON.parse(JSON.stringify(document))).toEqual(document);
    let references = 0;
    for (const { $ref } of objects(document)) {
      if (typeof $ref !== 'string') continue;
      references++;
      const target = $ref
        .slice(2)
        .split('/')
        .reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], document);
      expect([$ref, typeof target]).toEqual([$ref, 'object']);
    }
    expect(references).toBeGreaterThan(50);
  });

  it('has the required parts of AsyncAPI 3.0', () => {
    expect(document).toMatchObject({
      asyncapi: '3.0.0',
      info: { title: 'netstatd', version: '1.2.3' },
    });
    for (const { address, parameters = {} } of Object.values(document.channels)) {
      const named = [...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(Object.keys(parameters)).toEqual(named);
    }
    for (const { action } of Object.values(document.operations))
      expect(['send', 'receive']).toContain(action);
    for (const name of Object.keys(document.components.messages)) expect(name).toMatch(/^[\w.-]+$/);
    expect(Object.keys(document.channels.conntrack?.messages ?? {})).toEqual([
      ...eventTypes,
      'eventFrame',
    ]);
  });

  it('has schemas that compile and take events, alone and in frames', () => {
    const check = ajv();
    check.addSchema(document, 'doc');
    fc.assert(
      fc.property(arbitraryEvent(), (event) => {
        const one = check.getSchema(`doc#/components/schemas/${event.type}`);
        expect(one?.(event)).toBe(true);
        const frame = check.getSchema('doc#/components/schemas/eventFrame');
        expect(frame?.([event, event])).toBe(true);
        expect(frame?.([{ ...event, strange: 1 }])).toBe(false);
      }),
    );
    for (const name of Object.keys(document.components.schemas))
      expect(check.getSchema(`doc#/components/schemas/${name}`)).toBeDefined();
  });
});
