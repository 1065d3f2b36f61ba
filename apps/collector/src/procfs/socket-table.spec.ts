import type { NetRow } from '@netstatd/procfs';
import { Direction } from '@netstatd/records';
import fc from 'fast-check';
import { SocketTable, type Changes } from './socket-table.ts';
import type { TrackedSocket } from './tracked-socket.ts';

const NETNS = 77;
const KEY = 7;
const options = { loopback: true, ephemeral: [32768, 60999] as const };
const LOOPBACK = '0100007F';
const ANY = '00000000';

const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0');
const end = (address: string, port: number) => `${address}:${hex(port)}`;
const row = (inode: number, state: number, local: string, remote = end(ANY, 0)): NetRow => {
  return { inode, state, local, remote, uid: 1000 };
};

const listener = (inode: number, port: number) => row(inode, 10, end(ANY, port));
const connection = (inode: number, near: number, far: number, state = 1) =>
  row(inode, state, end(LOOPBACK, near), end(LOOPBACK, far));

function poll(table: SocketTable, tcp: NetRow[], udp: NetRow[] = [], unread: number[] = []) {
  table.begin();
  for (const each of tcp) table.take(each, 6, KEY, NETNS);
  for (const each of udp) table.take(each, 17, KEY, NETNS);
  return table.end(new Set(unread));
}

const inodes = (sockets: Iterable<TrackedSocket>) => [...sockets].map(({ inode }) => inode);
const story = ({ opened, established, closed }: Changes) =>
  [opened, established, closed].map(inodes);

test('a connection is opened, established and closed', () => {
  const table = new SocketTable(options);
  expect(story(poll(table, [connection(1, 40000, 80, 2)]))).toEqual([[1], [], []]);
  expect(story(poll(table, [connection(1, 40000, 80)]))).toEqual([[], [1], []]);
  expect(story(poll(table, [connection(1, 40000, 80, 8)]))).toEqual([[], [], []]);
  expect(story(poll(table, []))).toEqual([[], [], []]);
  expect(story(poll(table, []))).toEqual([[], [], [1]]);
  expect(table.size).toBe(0);
});

test('one that a poll missed goes on', () => {
  const table = new SocketTable(options);
  poll(table, [connection(1, 40000, 80)]);
  poll(table, []);
  expect(story(poll(table, [connection(1, 40000, 80)]))).toEqual([[], [], []]);
  expect(story(poll(table, []))).toEqual([[], [], []]);
});

test('a namespace that could not be read keeps its sockets', () => {
  const table = new SocketTable(options);
  poll(table, [connection(1, 40000, 80)]);
  for (let i = 0; i < 5; i++) poll(table, [], [], [KEY]);
  expect(table.size).toBe(1);
});

test('a socket that connects anew is another connection', () => {
  const table = new SocketTable(options);
  poll(table, [connection(1, 40000, 80)]);
  const { opened, closed } = poll(table, [connection(1, 40000, 81)]);
  expect(closed.map(({ remote }) => remote.port)).toEqual([80]);
  expect(opened.map(({ remote }) => remote.port)).toEqual([81]);
});

test('what nobody holds, and states that are none of a connection, are left out', () => {
  const table = new SocketTable(options);
  expect(
    story(poll(table, [connection(0, 1, 2), ...[3, 6, 7, 12].map((s) => connection(s, 1, 2, s))])),
  ).toEqual([[], [], []]);
});

test('listeners tell the direction, whatever they listen on', () => {
  const table = new SocketTable(options);
  const { opened } = poll(table, [
    connection(1, 80, 40000),
    connection(2, 40000, 80),
    connection(3, 81, 40001),
    connection(4, 82, 40002, 2),
    listener(9, 80),
  ]);
  expect(opened.map(({ direction }) => direction).slice(0, 4)).toEqual([
    ...[Direction.INBOUND, Direction.OUTBOUND, Direction.UNKNOWN, Direction.OUTBOUND],
  ]);
});

test('a UDP port that the kernel may have chosen is no server', () => {
  const table = new SocketTable(options);
  const udp = [row(1, 7, end(ANY, 53)), row(2, 7, end(ANY, 40000)), row(3, 7, end(ANY, 0))];
  expect(story(poll(table, [], udp))).toEqual([[1], [], []]);
  const flow = row(2, 1, end(LOOPBACK, 40000), end(LOOPBACK, 53));
  const { opened } = poll(table, [], [udp[0]!, flow]);
  expect(opened).toMatchObject([{ inode: 2, role: 'flow', direction: Direction.OUTBOUND }]);
});

test('loopback is left out when it is not wanted', () => {
  const table = new SocketTable({ ...options, loopback: false });
  const other = row(2, 1, end('0200000A', 40000), end('0300000A', 80));
  expect(story(poll(table, [connection(1, 40000, 80), other]))).toEqual([[2], [], []]);
  expect(inodes(table.values())).toEqual([2]);
});

test('whatever polls find, each socket is opened once, closed once, and in between it is there', () => {
  const anyRow = fc
    .tuple(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 13 }), fc.nat(2))
    .map(([inode, state, port]) => connection(inode, 40000 + port, 80, state));
  const polls = fc.array(fc.tuple(fc.array(anyRow, { maxLength: 12 }), fc.boolean()));
  fc.assert(
    fc.property(polls, (all) => {
      const table = new SocketTable(options);
      const open = new Set<TrackedSocket>();
      for (const [rows, isRead] of [...all, [[], true], [[], true]] as typeof all) {
        const { opened, established, closed } = poll(table, rows, [], isRead ? [] : [KEY]);
        for (const socket of opened) {
          expect(open.has(socket)).toBe(false);
          open.add(socket);
        }
        for (const socket of established) expect(open.has(socket)).toBe(true);
        for (const socket of closed) expect(open.delete(socket)).toBe(true);
        expect(new Set(table.values())).toEqual(open);
      }
      expect(open.size).toBe(0);
    }),
  );
});
