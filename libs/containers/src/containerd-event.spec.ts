import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { containerdEvent } from './containerd-event.ts';
import * as types from './generated/containerd/event-types.ts';
import { Envelope } from './generated/containerd/events.ts';
import { Container } from './generated/containerd/containers.ts';
import { Process } from './generated/containerd/task-types.ts';

/** Encodes what was printed of an event. */
const encoder =
  <T>(type: {
    encode: (told: T) => { finish: () => Uint8Array };
    fromPartial: (told: never) => T;
  }) =>
  (told: object) =>
    type.encode(type.fromPartial(told as never)).finish();

const encoders: Record<string, (told: object) => Uint8Array> = {
  ContainerCreate: encoder(types.ContainerCreate),
  ContainerDelete: encoder(types.ContainerDelete),
  TaskStart: encoder(types.TaskStart),
  TaskExit: encoder(types.TaskExit),
  TaskDelete: encoder(types.TaskDelete),
};

/** The events of a recording whose contents were printed in full. */
function recorded(name: string) {
  const text = readFileSync(
    join(__dirname, 'fixtures', 'containerd', `events-${name}.log`),
    'utf8',
  );
  return text.split('\n').flatMap((line) => {
    const found = /ts=(\d+)\.(\d+) ns=(\S+) topic=(\S+) type_url=(\S+) len=\d+ (\{.*\})$/.exec(
      line,
    );
    if (!found) return [];
    const [, seconds = '', nanos = '', namespace = '', topic = '', typeUrl = '', contents = ''] =
      found;
    const told = JSON.parse(contents) as Record<string, unknown> & {
      exitedAt?: { seconds: bigint | string };
    };
    if (told.exitedAt) told.exitedAt.seconds = BigInt(told.exitedAt.seconds);
    const type = typeUrl.replace('containerd.events.', '');
    const value = encoders[type]?.(told) ?? new Uint8Array();
    const timestamp = { seconds: BigInt(seconds), nanos: Number(nanos) };
    const envelope = { timestamp, namespace, topic, event: { typeUrl, value } };
    return [Envelope.decode(Envelope.encode(envelope).finish())];
  });
}

const kinds = (name: string) =>
  recorded(name).flatMap((envelope) => {
    const event = containerdEvent(envelope);
    return event ? [`${event.kind} ${event.id.slice(0, 8)}`] : [];
  });

test('A10 the life of a pod', () => {
  expect(kinds('cri-pod')).toEqual([
    'described a38b389f',
    'started a38b389f',
    'described b3343564',
    'started b3343564',
    'exited b3343564',
    'exited b3343564',
    'exited a38b389f',
    'exited a38b389f',
    'deleted b3343564',
    'deleted a38b389f',
  ]);
});

test('A10 the end of an exec is not the end of its container', () => {
  expect(kinds('misc').filter((each) => each.includes('c-ctr-1'))).toEqual([]);
  expect(kinds('oom')).toEqual(['started oomc', 'exited oomc']);
});

test('A10 times are those of the kernel for ends, and of containerd otherwise', () => {
  const events = recorded('oom').flatMap((envelope) => containerdEvent(envelope) ?? []);
  expect(events.map(({ micros }) => micros)).toEqual([
    1_795_167_295_391_383, 1_795_167_295_695_160,
  ]);
});

const decoders = [...Object.values(types), Envelope, Container, Process] as {
  decode: (bytes: Uint8Array) => unknown;
}[];

test('D05 bytes that are no message are refused, and never crash', () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(bytes, fc.constantFrom(...decoders), (noise, decoder) => {
      try {
        decoder.decode(noise);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }),
    { numRuns: 2000 },
  );
});

test('D05 events with any contents are told with usable names, or refused', () => {
  const type = fc.constantFrom(
    ...Object.keys(types).map((name) => `containerd.events.${name}`),
    'other',
    '',
  );
  const name = fc.oneof(fc.string(), fc.constantFrom('k8s.io', 'a/b'));
  const contents = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc
      .record({ containerId: name, id: name, pid: fc.nat() })
      .map((told) => encoders.TaskExit!(told)),
  );
  fc.assert(
    fc.property(type, name, contents, (typeUrl, namespace, value) => {
      const envelope = { timestamp: undefined, namespace, topic: '', event: { typeUrl, value } };
      try {
        const event = containerdEvent(envelope);
        if (!event) return;
        expect(event.id).toMatch(/^[A-Za-z0-9][\w.-]{0,255}$/);
        expect(event.namespace).toMatch(/^[A-Za-z0-9][\w.-]{0,255}$/);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }),
    { numRuns: 1000 },
  );
});
