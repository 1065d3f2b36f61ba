import { connectBus, NatsServer, pack, subjects, type Bus } from '@netstatd/bus';
import { BatchReader, BatchWriter, encodeMark } from '@netstatd/records';
import { describeOn, waitFor } from '@netstatd/testkit';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Player } from './player.ts';
import { Recording } from './recording.ts';

const NODE = `player-${process.pid}`;

describeOn(['nats'], 'the player', () => {
  const directory = mkdtempSync(join(tmpdir(), 'netstatd-player-'));
  const path = join(directory, 'raw');
  const heard: { epoch: number; seq: number; records: number; replayed: boolean }[] = [];
  const states: string[] = [];
  let nats: NatsServer;
  let bus: Bus;
  let player: Player;

  beforeAll(async () => {
    const batches = [1n, 1n, 5_000_000_000n].map((epoch, at, all) => {
      const writer = new BatchWriter(epoch);
      writer.seq = all.slice(0, at).filter((other) => other === epoch).length;
      return writer.batch([encodeMark({ kind: 1 })], { readNs: BigInt(at) });
    });
    writeFileSync(path, Buffer.concat(batches));
    nats = await NatsServer.start({ stateDir: directory });
    bus = await connectBus({ url: nats.url, name: 'player' });
    await waitFor('the bus', () => bus.connected);
    const reader = new BatchReader();
    bus.subscribe(subjects(NODE).raw, (payload) => {
      expect(reader.load(payload)).toBeUndefined();
      const { epoch, seq, records, replayed } = reader;
      heard.push({ epoch, seq, records, replayed });
    });
    player = new Player({
      ...{ bus, nodeName: NODE, recording: new Recording(path), fast: false },
      onState: (state) => states.push(state),
    });
    await bus.flush();
  });
  afterAll(async () => {
    player.close();
    await bus.close();
    await nats.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const ask = (reader: unknown) =>
    bus.publish(subjects(NODE).resync, pack({ reason: 'start', reader }));
  const ended = (times: number) =>
    waitFor('the end', () => states.filter((state) => state === 'ended').length === times);

  it('waits for a reader, plays once however often it asks, and lets time pass at the end', async () => {
    expect([states, heard]).toEqual([['waiting'], []]);
    for (let i = 0; i < 3; i++) ask(1);
    await ended(1);
    await waitFor('the batches', () => heard.length === 4);
    const [first] = heard;
    expect(heard.map(({ seq, records }) => [seq, records])).toEqual([
      ...[
        [1, 1],
        [2, 1],
        [1, 1],
      ],
      [2, 0],
    ]);
    expect(heard.every(({ replayed }) => replayed)).toBe(true);
    // Epochs of now, as different as they were.
    const epochs = heard.map(({ epoch }) => epoch === first?.epoch);
    expect(epochs).toEqual([true, true, false, false]);
    expect(first?.epoch).toBeGreaterThan(1e18);
    ask(1);
    await bus.flush();
    expect(player.counters()).toMatchObject({ plays: 1, batches: 4, published: 4 });
  });

  it('plays again, in another epoch, for a reader that was started anew', async () => {
    ask(2);
    await ended(2);
    await waitFor('the batches', () => heard.length === 8);
    expect(heard[4]?.epoch).not.toBe(heard[0]?.epoch);
  });

  it('takes what is no request for one of the same reader', async () => {
    bus.publish(subjects(NODE).resync, new Uint8Array([0xc1]));
    await ended(3);
    ask(undefined);
    await bus.flush();
    expect(player.counters().plays).toBe(3);
  });
});
