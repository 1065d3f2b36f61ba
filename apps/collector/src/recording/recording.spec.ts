import { BatchReader, BatchWriter, encodeMark } from '@netstatd/records';
import fc from 'fast-check';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Recorder } from './recorder.ts';
import { Recording, RecordingError } from './recording.ts';

const directory = mkdtempSync(join(tmpdir(), 'netstatd-recording-'));
const path = join(directory, 'raw');
afterAll(() => rmSync(directory, { recursive: true, force: true }));
beforeEach(() => rmSync(path, { force: true }));

/** Batches of one record each, a second apart. */
function batches(count: number, writer = new BatchWriter(1n)): Uint8Array[] {
  return Array.from({ length: count }, () => {
    const readNs = BigInt(writer.seq + 1) * 1_000_000_000n;
    return writer.batch([encodeMark({ kind: 1 })], { readNs });
  });
}

async function record(written: Uint8Array[], maxBytes = 1 << 20): Promise<string[]> {
  const reasons: string[] = [];
  const recorder = new Recorder({ path, maxBytes, onEnd: (reason) => reasons.push(reason) });
  for (const batch of written) recorder.write(batch);
  await recorder.close();
  return reasons;
}

function readAll(): { played: Uint8Array[]; facts: Recording['facts'] } {
  const recording = new Recording(path);
  try {
    return {
      played: [...recording.batches()].map(({ batch }) => Uint8Array.from(batch)),
      facts: recording.facts,
    };
  } finally {
    recording.close();
  }
}

const errorOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(RecordingError);
    return (error as Error).message;
  }
  return '';
};

test('what is recorded is what is played', async () => {
  const written = batches(5);
  expect(await record(written)).toEqual([]);
  const { played, facts } = readAll();
  expect(played).toEqual(written);
  expect(facts).toMatchObject({ batches: 5, records: 5, durationMs: 4000, cut: false });
  expect(facts).not.toHaveProperty('trouble');
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('it ends at its size, and says so once', async () => {
  const written = batches(10);
  const room = (written[0]?.byteLength ?? 0) * 3 + 1;
  expect(await record(written, room)).toEqual([`it has reached ${room} bytes`]);
  expect(readAll().played).toEqual(written.slice(0, 3));
});

test('it is gone on with by a collector that was started again, a cut batch is left out', async () => {
  const [first, second] = [batches(3), batches(3, new BatchWriter(2n))];
  await record(first);
  writeFileSync(path, readFileSync(path).subarray(0, -7));
  await record(second);
  const { played, facts } = readAll();
  expect(played).toEqual([...first.slice(0, 2), ...second]);
  expect(facts).not.toHaveProperty('trouble');
});

test('nothing that is no recording is written over', () => {
  writeFileSync(path, 'precious'.repeat(100));
  const options = { path, maxBytes: 1 << 20, onEnd: () => undefined };
  expect(errorOf(() => new Recorder(options))).toMatch(/is no recording/);
  expect(readFileSync(path, 'utf8')).toMatch(/^precious/);
  expect(errorOf(() => new Recorder({ ...options, path: directory }))).toMatch(/is no file/);
  const nowhere = join(directory, 'none', 'raw');
  expect(errorOf(() => new Recorder({ ...options, path: nowhere }))).toMatch(/cannot be written/);
});

test.each([
  ['that is not there', undefined, /cannot be read: ENOENT/],
  ['that is empty', '', /is empty: it is no recording/],
  ['that is something else', 'x'.repeat(1000), /is no recording, or one of another version/],
  ['that is short', 'x', /is no recording/],
])('a file %s is refused', (_what, text, reason) => {
  if (text !== undefined) writeFileSync(path, text);
  expect(errorOf(() => new Recording(path))).toMatch(reason);
});

test('one that is no file is refused', () => {
  expect(errorOf(() => new Recording('/dev/zero'))).toMatch(/is no file/);
  expect(errorOf(() => new Recording(directory))).toMatch(/is no file/);
});

test('cut anywhere, its whole batches are played', async () => {
  const written = batches(4);
  await record(written);
  const whole = readFileSync(path);
  const each = whole.length / 4;
  for (let length = 1; length < whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    if (length < each) {
      expect(errorOf(() => new Recording(path))).toMatch(/no recording|middle of its first batch/);
      continue;
    }
    const { played, facts } = readAll();
    expect(played).toEqual(written.slice(0, Math.floor(length / each)));
    expect(facts.cut).toBe(length % each !== 0);
  }
});

test('damaged anywhere, it is played to the damage and nothing throws', async () => {
  await record(batches(4));
  const whole = readFileSync(path);
  const places = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1 });
  fc.assert(
    fc.property(places, (changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      writeFileSync(path, bytes);
      let recording: Recording;
      try {
        recording = new Recording(path);
      } catch (error) {
        expect(error).toBeInstanceOf(RecordingError);
        return;
      }
      const reader = new BatchReader();
      let read = 0;
      for (const { batch } of recording.batches()) {
        read += batch.byteLength;
        if (reader.load(batch) === undefined) while (reader.next());
      }
      expect(read).toBe(recording.facts.bytes);
      if (read < whole.length) expect(recording.facts.trouble).toMatch(/damaged at byte|middle/);
      recording.close();
    }),
    { numRuns: 300 },
  );
});
