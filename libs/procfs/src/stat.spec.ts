import fc from 'fast-check';
import { parseStat } from './stat.ts';

const line = (pid: number, comm: Uint8Array, ppid: number, start: number): Buffer =>
  Buffer.concat([
    Buffer.from(`${pid} (`),
    comm,
    Buffer.from(`) S ${ppid} ${'7 '.repeat(17)}${start} 0 0\n`),
  ]);

test('a name with parentheses, newlines and numbers does not move the fields', () => {
  const comm = Buffer.from(') R 1 (\n) 2');
  expect(parseStat(line(42, comm, 7, 1234))).toEqual({
    pid: 42,
    comm: ') R 1 (\n) 2',
    ppid: 7,
    startTicks: 1234,
  });
});

test('any name of any bytes gives the fields that were written', () => {
  fc.assert(
    fc.property(
      fc.nat(4_194_304),
      fc.uint8Array({ maxLength: 15 }),
      fc.nat(),
      fc.nat(),
      (pid, comm, ppid, start) => {
        const stat = parseStat(line(pid, comm, ppid, start));
        expect(stat).toMatchObject({ pid, ppid, startTicks: start });
        expect(stat?.comm).toBe(Buffer.from(comm).toString('utf8'));
      },
    ),
  );
});

test('bytes that are no stat line give undefined, cut ones too, and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const stat = parseStat(Buffer.from(bytes));
      expect(stat === undefined || Number.isSafeInteger(stat.startTicks)).toBe(true);
    }),
  );
  const whole = line(42, Buffer.from('sh'), 7, 1234);
  for (let end = 0; end < whole.indexOf('1234'); end++) {
    expect(parseStat(whole.subarray(0, end))).toBeUndefined();
  }
});
