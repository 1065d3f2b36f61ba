import fc from 'fast-check';
import { cellText, cellWidth, inCells } from './cells.ts';
import { ageText, bytesText, columnsOf, fit } from './columns.ts';
import { Connections } from './connections.ts';
import { groupings } from './groups.ts';
import { pressed } from './keys.ts';
import type { Choice, Stream } from './view.ts';
import { allRows, heldRows, plainLines, rowsOf, screenLines } from './view.ts';

const NOW = Date.parse('2025-01-31T12:00:10Z');
const choice: Choice = {
  by: 'process',
  sort: 'open',
  reverse: false,
  search: '',
  typing: false,
  scroll: 0,
  paused: false,
  help: false,
};
const stream: Stream = { url: 'ws://x/conntrack', away: undefined, lost: new Map() };

function tableOf(owners: [comm: string, pid: number][], by: Choice['by'] = 'process'): Connections {
  const table = new Connections(by);
  owners.forEach(([comm, pid], i) => {
    table.apply(
      {
        type: 'connection.event',
        timestamp: '2025-01-31T12:00:00.000000Z',
        nodeName: 'node-1',
        protocol: 'TCP',
        family: 6,
        state: 'ESTABLISHED',
        direction: 'outbound',
        sockCookie: i,
        localIP: '::1',
        localPort: 4000 + i,
        remoteIP: '2001:db8::2',
        remotePort: 443,
        comm,
        pid,
      },
      NOW,
    );
  });
  return table;
}

const screen = (table: Connections, change: Partial<Choice>, columns: number, rows: number) => {
  const shown = { ...choice, ...change };
  const all = rowsOf(allRows(table, shown.by), shown, NOW);
  return screenLines(table, all, shown, stream, { columns, rows }, NOW).map(({ text }) => text);
};

test('a screen of processes', () => {
  const table = tableOf([
    ['curl', 7],
    ['nginx', 1],
    ['nginx', 1],
  ]);
  expect(screen(table, {}, 60, 7).map((line) => line.trimEnd())).toEqual([
    'netstatd top  3 open  1.0 new/s  ws://x/conntrack',
    'lost events: none',
    'PROCESS        PID    CONN/S    OPEN  FAILED    SENT    RECV',
    'nginx            1       0.7       2       0       -       -',
    'curl             7       0.3       1       0       -       -',
    '',
    '2 rows  by open  q quit  s sort  r reverse  g group  / filt…',
  ]);
});

test('every screen is as large as its terminal, whatever is in it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string({ unit: 'binary', maxLength: 60 }), fc.nat()), { maxLength: 20 }),
      fc.constantFrom(...groupings),
      fc.integer({ min: 1, max: 250 }),
      fc.integer({ min: 1, max: 60 }),
      fc.record({ help: fc.boolean(), typing: fc.boolean(), scroll: fc.nat(30) }),
      (owners, by, columns, rows, flags) => {
        const table = tableOf(owners, by);
        const lines = screen(table, { by, ...flags, search: '' }, columns, rows);
        expect(lines).toHaveLength(rows);
        for (const line of lines) {
          expect(cellWidth(line)).toBe(columns);
          expect(line).not.toMatch(/[\p{C}\p{M}]/u);
        }
      },
    ),
  );
});

test('narrow terminals lose the least important columns first', () => {
  const shown = (width: number) => fit(columnsOf('connection'), width).map(([{ id }]) => id);
  expect(shown(10)).toEqual(['remote']);
  expect(shown(40)).toEqual(['process', 'remote', 'state']);
  expect(shown(200)).toEqual(columnsOf('connection').map(({ id }) => id));
  for (let width = 15; width < 300; width++) {
    const cells = fit(columnsOf('connection'), width).reduce((sum, [, w]) => sum + w + 2, -2);
    expect(cells).toBeLessThanOrEqual(width);
  }
});

test.each([
  ['abc', 5, 'abc  '],
  ['abcdef', 4, 'abc…'],
  ['漢字テスト', 6, '漢字… '],
  ['漢字テスト', 5, '漢字…'],
  ['🦊🦊', 3, '🦊…'],
  ['x', 0, ''],
])('%j in %d cells', (text, width, expected) => expect(inCells(text, width)).toBe(expected));

test('what could break a line is shown instead', () => {
  expect(cellText('a\r\n\u001b]0;x\u0007e\u0301\u3164')).toBe(
    'a\\x0d\\x0a\\x1b]0;x\\x07e\\u{301}\\u{3164}',
  );
});

test('rows are sorted, reversed, filtered, and held', () => {
  const table = tableOf([
    ['b', 2],
    ['a', 1],
    ['a', 1],
    ['c', 3],
  ]);
  const names = (change: Partial<Choice>, all = allRows(table, 'process')) =>
    rowsOf(all, { ...choice, ...change }, NOW).map((row) => ('name' in row ? row.name : '?'));
  expect(names({ sort: 'open' })).toEqual(['a', 'b', 'c']);
  expect(names({ sort: 'process', reverse: true })).toEqual(['c', 'b', 'a']);
  expect(names({ sort: 'pid' })).toEqual(['c', 'b', 'a']);
  expect(names({ search: 'C' })).toEqual(['c']);
  const held = heldRows(allRows(table, 'process'), NOW);
  table.forget('node-1', NOW);
  const opens = rowsOf(held, choice, NOW).map((row) => ('open' in row ? row.open : 0));
  expect(opens).toEqual([2, 1, 1]);
});

test('the plain table has every column and cuts nothing', () => {
  const name = 'x'.repeat(80);
  const lines = plainLines(
    tableOf([[name, 5]], 'connection'),
    { ...choice, by: 'connection' },
    NOW,
  );
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^PROCESS +PID +PROTO +DIR +LOCAL +REMOTE +STATE .* NODE$/);
  expect(lines[1]).toBe(
    `${name}    5  TCP6   out  [::1]:4000  [2001:db8::2]:443  ESTABLISHED     -     -       -             node-1`,
  );
});

test('keys', () => {
  const after = (key: Parameters<typeof pressed>[1], from: Partial<Choice> = {}) =>
    pressed({ ...choice, ...from }, key, 10, 25);
  expect(after({ name: 'c', ctrl: true })).toBe('quit');
  expect(after({ name: 'c', ctrl: true }, { typing: true })).toBe('quit');
  expect(after({ name: 'z', ctrl: true })).toBe('suspend');
  expect(after({ name: 'q', sequence: 'q' })).toBe('quit');
  expect(after({ name: 'down' })).toMatchObject({ scroll: 1 });
  expect(after({ sequence: 'k' })).toMatchObject({ scroll: 0 });
  expect(after({ name: 'end' })).toMatchObject({ scroll: 15 });
  expect(after({ name: 'pagedown' }, { scroll: 10 })).toMatchObject({ scroll: 15 });
  expect(after({ sequence: 's' })).toMatchObject({ sort: 'failed' });
  expect(after({ sequence: 'S' })).toMatchObject({ sort: 'rate' });
  expect(after({ sequence: 'g' })).toMatchObject({ by: 'program', sort: 'rate' });
  expect(after({ sequence: 'q' }, { typing: true, search: 'a' })).toMatchObject({ search: 'aq' });
  expect(after({ name: 'backspace' }, { typing: true, search: 'a🦊' })).toMatchObject({
    search: 'a',
  });
  expect(after({ sequence: '\u001b[5;5~' }, { typing: true })).toEqual({ ...choice, typing: true });
  expect(after({ name: 'escape' }, { typing: true, search: 'a' })).toEqual(choice);
  expect(after({ name: 'f5', sequence: '\u001b[15~' })).toEqual(choice);
});

test('numbers stay within their columns', () => {
  fc.assert(
    fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (n) => {
      expect(bytesText(n).length).toBeLessThanOrEqual(5);
      expect(ageText(n % 1e11).length).toBeLessThanOrEqual(5);
    }),
  );
  expect([999, 1000, 123_456, 5e9].map(bytesText)).toEqual(['999', '1.0K', '123K', '5.0G']);
  expect([400, 59_400, 6e5, 1e7, 1e9].map(ageText)).toEqual(['0.4s', '59s', '10m', '3h', '12d']);
});
