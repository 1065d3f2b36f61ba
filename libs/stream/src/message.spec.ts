import { pack } from '@netstatd/bus';
import type { EventRow } from '@netstatd/events';
import {
  batchSchema,
  eventFields,
  JsonBytes,
  PackedJson,
  snapshotPageSchema,
} from '@netstatd/events';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { LossyBus } from './lossy-bus.fixture.ts';
import { MAX_MESSAGE_BYTES, MessageError, readBatch, readPage } from './message.ts';
import { packRows } from './pack-rows.ts';
import { StreamPublisher } from './publisher.ts';

// Other tests run on the same processors.
jest.setTimeout(60_000);

const batch = {
  v: 1,
  node: 'a',
  epoch: 5,
  seq: 1,
  before: 0,
  fields: { 'dns.answer': ['timestamp', 'ip', 'name', 'asked', 'ttl'] },
  events: [['dns.answer', 1763636400000000, '10.0.0.1', 'a.b', 'c.d', 60]],
};
const page = { ...batch, page: 0, last: true, next: 17 };

describe('readBatch and readPage', () => {
  test('read what is right', () => {
    const read = readBatch(pack(batch));
    if (read instanceof MessageError) throw read;
    expect(read).toMatchObject({ node: 'a', epoch: 5, seq: 1, before: 0, lost: 0 });
    expect([...read.rows]).toEqual(batch.events);
    expect(read.rows.skipped).toBe(0);
    expect(readPage(pack({ ...page, lost: 7 }))).toMatchObject({
      ...{ page: 0, last: true, next: 17, lost: 7 },
    });
  });

  test('put columns of another order into ours and skip what is unknown', () => {
    const other = {
      ...batch,
      fields: { 'dns.answer': ['ttl', 'color', 'timestamp'], 'moon.rise': ['timestamp'] },
      events: [['dns.answer', 60, 'red', 9], ['moon.rise', 9], ['dns.answer', 60, 'red'], 7, null],
    };
    const read = readBatch(pack(other));
    if (read instanceof MessageError) throw read;
    expect(read.rows.skipped).toBe(4);
    const names = ['type', ...eventFields['dns.answer']];
    expect(
      [...read.rows].map((row) =>
        Object.fromEntries(row.map((v, i) => [names[i] ?? '', v] as const)),
      ),
    ).toEqual([expect.objectContaining({ timestamp: 9, ttl: 60 })]);
  });

  test.each([
    ['another version', { ...batch, v: 2 }],
    ['no version', { ...batch, v: undefined }],
    ['no node', { ...batch, node: '' }],
    ['a negative seq', { ...batch, seq: -1 }],
    ['a seq that is no integer', { ...batch, seq: 0.5 }],
    ['no epoch', { ...batch, epoch: null }],
    ['no before', { ...batch, before: 'x' }],
    ['a negative loss', { ...batch, lost: -1 }],
    ['fields of numbers', { ...batch, fields: { 'dns.answer': [1] } }],
    ['no fields', { ...batch, fields: [] }],
    ['no events', { ...batch, events: {} }],
    ['an array', [1]],
    ['text', 'batch'],
    ['nil', null],
  ])('refuse %s', (_name, value) => {
    expect(readBatch(pack(value))).toBeInstanceOf(MessageError);
    expect(readPage(pack(value))).toBeInstanceOf(MessageError);
  });

  test('give the error that was answered', () => {
    expect(readPage(pack({ v: 1, error: 'no' }))).toMatchObject({
      message: 'the snapshot was refused: no',
    });
    expect(readPage(pack({ ...page, last: 1 }))).toBeInstanceOf(MessageError);
  });

  test('never throw, whatever the bytes', () => {
    const valid = pack(page);
    const edits = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 6 });
    const attempt = (bytes: Uint8Array) => {
      const read = readPage(bytes);
      const live = readBatch(bytes);
      if (!(live instanceof MessageError)) {
        const [json, decoded] = [new PackedJson(0), new JsonBytes(0)];
        for (let i = 0; i < live.rows.length; i++) {
          live.rows.writeJson(i, json, 'n');
          decoded.write(live.rows.row(i), 'n');
        }
        const [a, b] = [json, decoded].map((sink) =>
          Buffer.from(sink.slice(0, sink.end)).toString(),
        );
        expect(a).toBe(b);
        expect(live.rows).toHaveLength([...live.rows].length);
      }
      if (!(read instanceof MessageError))
        for (const [type, at] of read.rows)
          expect([typeof type, typeof at]).toEqual(['string', 'number']);
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), attempt), { numRuns: 5000 });
    fc.assert(
      fc.property(edits, (changes) => {
        const bytes = Uint8Array.from(valid);
        for (const [at, byte] of changes) bytes[at] = byte;
        attempt(bytes);
      }),
      { numRuns: 20_000 },
    );
  });
});

describe('packRows', () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 60_000 }), { maxLength: 40 });

  test('keeps messages below the limit, and all rows in order', () => {
    fc.assert(
      fc.property(sizes, (lengths) => {
        const rows = lengths.map((length, i): EventRow => ['node.up', i, 'x'.repeat(length)]);
        const seen: unknown[] = [];
        for (const message of packRows(rows, (body) => ({ ...batch, ...body }))) {
          if ('oversized' in message) throw new Error('none is that large');
          expect(message.payload.length).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
          const read = readBatch(message.payload);
          if (read instanceof MessageError) throw read;
          seen.push(...Array.from(read.rows, (row) => row[1]));
        }
        expect(seen).toEqual(rows.map((row) => row[1]));
      }),
      { numRuns: 50 },
    );
  });

  test('sets apart the row that fits nowhere', () => {
    const rows = [10, MAX_MESSAGE_BYTES, 10].map((n, i): EventRow => ['node.up', i, 'x'.repeat(n)]);
    const messages = [...packRows(rows, (body) => ({ ...batch, ...body }))];
    expect(messages.map((m) => ('oversized' in m ? m.oversized[1] : m.rows.length))).toEqual([
      1, 1, 1,
    ]);
  });
});

describe('what StreamPublisher sends', () => {
  const log = { info: () => undefined, warn: () => undefined };

  test('is plain MessagePack for any decoder, and fits the published schemas', async () => {
    const bus = new LossyBus();
    const decode = (bytes: Uint8Array) => new Packr({ useRecords: false }).unpack(bytes) as unknown;
    const batches: unknown[] = [];
    bus.subscribe('netstatd.a_b.events', (payload) => {
      expect(readBatch(payload)).not.toBeInstanceOf(MessageError);
      batches.push(decode(payload));
    });
    const rows: EventRow[] = [
      ['node.up', 1763636400000001, 'tëst', 2 ** 40],
      [
        'connection.event',
        1763636400000002,
        'TCP',
        4,
        'CLOSE',
        undefined,
        2 ** 33,
        null,
        undefined,
      ],
    ];
    const publisher = new StreamPublisher({
      bus,
      node: 'a.b',
      epoch: 7,
      log,
      snapshot: function* () {
        yield* rows;
        return 'more';
      },
    });
    for (const row of rows) publisher.publish(row);
    const pages: unknown[] = [];
    const request = pack({ v: 1 });
    for await (const bytes of bus.requestMany('netstatd.a_b.snapshot', request, { timeoutMs: 500 }))
      if (pages.push(decode(bytes)) === 2) break;
    publisher.close();
    expect(batches).toHaveLength(1);
    expect(batchSchema.parse(batches[0])).toMatchObject({
      node: 'a.b',
      epoch: 7,
      seq: 1,
      before: 0,
      fields: { 'connection.event': eventFields['connection.event'] },
      events: [
        ['node.up', 1763636400000001, 'tëst', 2 ** 40],
        ['connection.event', 1763636400000002, 'TCP', 4, 'CLOSE', null, 2 ** 33],
      ],
    });
    for (const one of pages) snapshotPageSchema.parse(one);
    expect(pages).toMatchObject([
      { seq: 1, before: 2, page: 0, last: false, events: [{}, {}] },
      { seq: 1, before: 2, page: 1, last: true, events: [], next: 'more' },
    ]);
  });

  test.each([
    ['no MessagePack', Uint8Array.of(0xc1), /0xc1/],
    ['another version', pack({ v: 9 }), /v: /],
    ['an unknown type', pack({ v: 1, types: ['moon.rise'] }), /types/],
    ['a bad limit', pack({ v: 1, limit: 0 }), /limit/],
    ['what the source refuses', pack({ v: 1, after: 'x' }), /bad cursor/],
  ])('answers a request for %s with the reason', async (_name, request, reason) => {
    const bus = new LossyBus();
    const publisher = new StreamPublisher({
      bus,
      node: 'a',
      log,
      snapshot: ({ after }) => {
        if (after !== undefined) throw new RangeError('bad cursor');
        return [];
      },
    });
    const answers = bus.requestMany('netstatd.a.snapshot', request, { timeoutMs: 500 });
    const { value } = await answers.next();
    const read = readPage(value ?? new Uint8Array());
    expect(read).toBeInstanceOf(MessageError);
    expect((read as MessageError).message).toMatch(reason);
    expect(publisher.counters.snapshotsRefused).toBe(1);
    publisher.close();
  });
});
