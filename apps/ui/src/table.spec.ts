import fc from 'fast-check';
import type { WireEvent } from './event.ts';
import { closedStayMs, ConnectionTable, failedStayMs } from './table.ts';

const event = (fields: Partial<WireEvent>): WireEvent => ({
  type: 'connection.event',
  timestamp: '2030-01-01T00:00:00.000000Z',
  nodeName: 'alpha',
  protocol: 'TCP',
  family: 4,
  state: 'ESTABLISHED',
  sockCookie: 1,
  ...fields,
});

it('a closed connection stays to be read, a failed one longer, then it goes', () => {
  const table = new ConnectionTable();
  table.apply(event({ sockCookie: 1 }), 0);
  table.apply(event({ sockCookie: 1, state: 'CLOSE', closeReason: 'local' }), 0);
  table.apply(event({ sockCookie: 2, state: 'CLOSE', closeReason: 'refused' }), 0);
  expect([table.open, table.closed]).toEqual([0, 2]);
  table.expire(closedStayMs);
  expect([...table.rows()].map(({ reason }) => reason)).toEqual(['refused']);
  table.expire(failedStayMs);
  expect(table.closed).toBe(0);
});

it('a late owner completes a row without opening it again', () => {
  const table = new ConnectionTable();
  table.apply(event({ direction: 'inbound' }), 0);
  table.apply(event({ state: 'CLOSE' }), 0);
  table.apply(event({ type: 'connection.accepted', pid: 7, exe: '/bin/x' }), 0);
  const [row] = table.rows();
  expect(row).toMatchObject({ state: 'CLOSE', pid: 7, process: '/bin/x', direction: 'inbound' });
});

it('flows of one UDP socket are rows of their own', () => {
  const table = new ConnectionTable();
  for (const remotePort of [53, 123]) {
    table.apply(event({ protocol: 'UDP', remoteIP: '192.0.2.1', remotePort }), 0);
  }
  expect(table.open).toBe(2);
});

it('after a fresh state holds what that state and later events say, whatever was before', () => {
  const cookies = fc.uniqueArray(fc.integer({ min: 1, max: 30 }));
  fc.assert(
    fc.property(cookies, cookies, cookies, cookies, (before, elsewhere, fresh, closed) => {
      const table = new ConnectionTable();
      for (const sockCookie of before) table.apply(event({ sockCookie }), 0);
      for (const sockCookie of elsewhere) {
        table.apply(event({ sockCookie, nodeName: 'beta' }), 0);
      }
      table.begin('alpha');
      for (const sockCookie of fresh) table.apply(event({ sockCookie }), 0);
      table.complete('alpha');
      for (const sockCookie of closed) table.apply(event({ sockCookie, state: 'CLOSE' }), 0);
      table.expire(failedStayMs);
      const expected = fresh.filter((cookie) => !closed.includes(cookie));
      const keys = [
        ...expected.map((cookie) => `alpha ${cookie}`),
        ...elsewhere.map((cookie) => `beta ${cookie}`),
      ];
      expect([...table.rows()].map(({ key }) => key).sort()).toEqual(keys.sort());
      expect([table.open, table.closed]).toEqual([keys.length, 0]);
    }),
  );
});
