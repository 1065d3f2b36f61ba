import { Recorder, waitFor } from '@netstatd/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import { Machine } from './fixtures/machine.ts';
import type { ScriptedNode } from './fixtures/scripted-node.ts';

/** Numbers that look random and are the same in every run (Park and Miller's generator). */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % sides;
  };
}

/** Connections that are open by what a client was told. */
function openOf(recorder: Recorder): number[] {
  const open = new Set<number>();
  for (const event of recorder.events) {
    // A fresh state: what it does not name is gone.
    if (event.type === 'host.info') open.clear();
    if (event.type !== 'connection.event' || event.sockCookie === undefined) continue;
    if (event.state === 'CLOSE') open.delete(event.sockCookie);
    else open.add(event.sockCookie);
  }
  return [...open].sort((a, b) => a - b);
}

/** The bus forgets what is published for a moment. */
async function forget({ bus }: ScriptedNode): Promise<void> {
  const publish = bus.publish.bind(bus);
  bus.publish = () => true;
  await sleep(15);
  bus.publish = publish;
}

const troubles = {
  forget,
  restart: (node: ScriptedNode) => node.restart(),
  restartBus: (_node: ScriptedNode, machine: Machine) => machine.nats.restart(),
};

it.each<[number, (keyof typeof troubles)[]]>([
  [1, ['forget']],
  [2, ['restart']],
  [3, ['restartBus']],
  [4, ['forget', 'restart', 'restartBus']],
])(
  'tables are whole after trouble, with clients that are slow at times (%s: %s)',
  async (seed, kinds) => {
    const machine = await Machine.start();
    const recorders: Recorder[] = [];
    try {
      const node = await machine.node('alpha');
      await waitFor('the bus', () => node.bus.connected && machine.bus.connected);
      for (const batch of [false, true]) {
        recorders.push(await Recorder.open(machine.webSocket(), {}, { batch }));
      }
      const roll = dice(seed);
      let cookie = 0;
      for (let round = 0; round < 60; round++) {
        for (let count = roll(300); count > 0; count--) {
          const open = [...node.connections.keys()];
          if (roll(2) === 0) node.connect((cookie += 1));
          else if (open.length > 0) node.disconnect(open[roll(open.length)] ?? 0);
        }
        const slow = recorders[roll(2)];
        if (roll(3) === 0) slow?.pause();
        else slow?.resume();
        const kind = roll(8) === 0 ? kinds[roll(kinds.length)] : undefined;
        if (kind !== undefined) await troubles[kind](node, machine);
        await sleep(roll(20));
      }
      await waitFor('the bus', () => node.bus.connected && machine.bus.connected);
      for (const recorder of recorders) recorder.resume();
      const expected = [...node.connections.keys()].sort((a, b) => a - b);
      for (const recorder of recorders) {
        await waitFor('a whole table', () => openOf(recorder).join() === expected.join());
        expect(recorder.problems).toEqual([]);
      }
    } finally {
      for (const recorder of recorders) recorder.close();
      await machine.stop();
    }
  },
  120_000,
);
