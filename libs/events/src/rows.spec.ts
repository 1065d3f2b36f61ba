import fc from 'fast-check';
import { arbitraryEvent } from './arbitrary-events.ts';
import { columns, eventFields, eventTypes } from './fields.ts';
import {
  columnOrders,
  connectionRow,
  fromRow,
  makeRow,
  rowMapper,
  toRow,
  trimRow,
} from './rows.ts';
import { eventSchemas } from './schemas.ts';
import { parseMicros } from './text.ts';
import type { ConnectionEvent } from './types.ts';

describe('columns', () => {
  it.each(eventTypes)('of %s are the fields of its schema, timestamp first', (type) => {
    const names = ['type', 'nodeName', ...eventFields[type]];
    expect(names.sort()).toEqual(Object.keys(eventSchemas[type].shape).sort());
    expect(eventFields[type][0]).toBe('timestamp');
  });

  it('have a schema for every type and no other', () => {
    expect([...eventTypes].sort()).toEqual(Object.keys(eventSchemas).sort());
  });

  it('are indexes into a row', () => {
    const row = makeRow('port.listening', { timestamp: 7, protocol: 'TCP', ip: '::', port: 80 });
    expect(row[columns['port.listening'].timestamp]).toBe(7);
    expect(row[columns['port.listening'].port]).toBe(80);
  });
});

describe('rows', () => {
  it('give back the event they were made of', () => {
    fc.assert(
      fc.property(arbitraryEvent(), (event) => {
        expect(fromRow(toRow(event), event.nodeName)).toEqual(event);
      }),
    );
  });

  it('of connections are the same when built positionally', () => {
    fc.assert(
      fc.property(arbitraryEvent('connection.event', 'connection.accepted'), (event) => {
        const { type, timestamp, state, ...rest } = event as ConnectionEvent;
        const fields = rest as Parameters<typeof connectionRow>[3];
        const row = connectionRow(type, parseMicros(timestamp), state, fields);
        expect(row).toHaveLength(eventFields[type].length + 1);
        expect(trimRow(row)).toEqual(toRow(event));
      }),
    );
  });

  it('survive another order of columns, with strange ones between', () => {
    fc.assert(
      fc.property(arbitraryEvent(), fc.infiniteStream(fc.nat()), (event, random) => {
        const own = eventFields[event.type] as readonly string[];
        const theirs = ['strange', ...own]
          .map((name) => ({ name, order: random.next().value as number }))
          .sort((a, b) => a.order - b.order)
          .map(({ name }) => name);
        const row = toRow(event);
        const foreign = [event.type, ...theirs.map((name) => row[own.indexOf(name) + 1] ?? null)];
        if (theirs.includes('strange')) foreign[theirs.indexOf('strange') + 1] = 'x';
        const mapped = rowMapper(columnOrders({ [event.type]: theirs }))(foreign);
        expect(mapped && fromRow(mapped, event.nodeName)).toEqual(event);
      }),
    );
  });

  it('in our own order are not copied; what is no known row is undefined', () => {
    const map = rowMapper(columnOrders({ ...eventFields, 'future.event': ['timestamp'] }));
    const row = ['stream.lagged', 5, 3];
    expect(map(row)).toBe(row);
    for (const bad of [['future.event', 1], [1], [], null, 'x', { 0: 'host.info' }])
      expect(map(bad)).toBeUndefined();
    expect(rowMapper(columnOrders({}))(row)).toBeUndefined();
  });
});
