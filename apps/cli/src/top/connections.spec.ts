import type { ConnectionEvent } from '@netstatd/events';
import { Connections } from './connections.ts';

const T0 = Date.parse('2025-01-31T12:00:00Z');

function connection(fields: Partial<ConnectionEvent> = {}): ConnectionEvent {
  return {
    type: 'connection.event',
    timestamp: '2025-01-31T12:00:00.000000Z',
    nodeName: 'n1',
    protocol: 'TCP',
    family: 4,
    state: 'ESTABLISHED',
    sockCookie: 1,
    remoteIP: '10.0.0.2',
    remotePort: 80,
    pid: 42,
    comm: 'curl',
    ...fields,
  };
}

/** A table whose only node has told its opening state. */
function opened(events: ConnectionEvent[] = []): Connections {
  const table = new Connections('process');
  table.begin('n1');
  for (const event of events) table.apply(event, T0);
  table.complete('n1', T0);
  return table;
}

const group = (table: Connections, name = 'curl') =>
  [...table.groups.values()].find((each) => each.name === name);

test('what the opening state names is open, but not new', () => {
  const table = opened([connection()]);
  expect([table.open, table.rate.at(T0)]).toEqual([1, 0]);
  table.apply(connection({ sockCookie: 2 }), T0);
  expect([table.open, group(table)?.open]).toEqual([2, 2]);
  expect(table.rate.at(T0)).toBeCloseTo(1 / 3);
  expect(group(table)?.rate.at(T0 + 3000)).toBeCloseTo(1 / 3 / Math.E);
});

test('a closed connection counts its bytes and stays a while', () => {
  const table = opened([connection()]);
  const close = { state: 'CLOSE', bytesSent: 5, bytesReceived: 7, closeReason: 'local' } as const;
  table.apply(connection(close), T0);
  expect([table.open, table.closed]).toEqual([0, 1]);
  expect(group(table)).toMatchObject({ open: 0, failed: 0, sent: 5, received: 7 });
  table.expire(T0 + 7000);
  expect(table.closed).toBe(1);
  table.expire(T0 + 60_000);
  expect([table.closed, table.groups.size]).toEqual([0, 0]);
});

test('a connect that is refused is a failure, and the socket may try again', () => {
  const table = opened();
  table.apply(connection({ state: 'SYN_SENT' }), T0);
  table.apply(connection({ state: 'CLOSE', closeReason: 'refused' }), T0);
  expect(group(table)).toMatchObject({ open: 0, failed: 1 });
  table.apply(connection({ state: 'SYN_SENT' }), T0);
  table.apply(connection(), T0);
  expect([table.open, table.closed, group(table)?.open]).toEqual([1, 0, 1]);
});

test('a connection moves to its owner when that becomes known', () => {
  const table = opened();
  const ownerless: Partial<ConnectionEvent> = connection({ direction: 'inbound' });
  delete ownerless.pid;
  delete ownerless.comm;
  table.apply(ownerless as ConnectionEvent, T0);
  expect(group(table, '(no owner)')?.open).toBe(1);
  table.apply(connection({ type: 'connection.accepted' }), T0);
  expect([group(table, '(no owner)')?.open, group(table)?.open]).toEqual([0, 1]);
  // Of one that is not known, nothing more is learned.
  table.apply(connection({ type: 'connection.accepted', sockCookie: 9 }), T0);
  expect(table.open).toBe(1);
});

test('after a loss, what the new opening state does not name is gone', () => {
  const table = opened([connection(), connection({ sockCookie: 2 })]);
  // A changed host alone confirms nothing and ends nothing.
  table.begin('n1');
  table.complete('n1', T0);
  expect(table.open).toBe(2);
  table.expectOpening();
  table.begin('n1');
  table.apply(connection({ sockCookie: 2 }), T0);
  table.complete('n1', T0);
  expect([...table.values()].map(({ key }) => key)).toEqual(['n1 2']);
  expect(table.rate.at(T0)).toBe(0);
  table.forget('n1', T0);
  expect([table.open, group(table)?.open]).toEqual([0, 0]);
});

test('grouping by something else keeps what is open', () => {
  const table = opened([connection(), connection({ sockCookie: 2, remoteIP: '::1', family: 6 })]);
  table.groupBy('remote', T0);
  expect([...table.groups.values()].map(({ name, open }) => [name, open])).toEqual([
    ['10.0.0.2', 1],
    ['::1', 1],
  ]);
});

test('nothing grows without bound, and what went is counted', () => {
  const table = opened();
  for (let i = 0; i < 50_000; i++) {
    table.apply(connection({ sockCookie: i, pid: i, nodeName: `n${i % 7}` }), T0);
    if (i % 2 === 0) {
      table.apply(connection({ sockCookie: i, pid: i, nodeName: `n${i % 7}`, state: 'CLOSE' }), T0);
    }
  }
  expect([...table.values()]).toHaveLength(20_000);
  expect(table.open + table.evicted).toBe(25_000);
  expect(table.groups.size).toBeLessThanOrEqual(5000);
  expect([...table.groups.values()].every(({ open }) => open >= 0)).toBe(true);
});

test('names from outside are one line of harmless characters', () => {
  const table = opened([connection({ comm: '\u001b[2J\u202ea\u0301' })]);
  expect([...table.values()][0]?.program).toBe('\\x1b[2J\\u{202e}a\\u{301}');
});
