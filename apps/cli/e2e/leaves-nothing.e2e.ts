import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CleanRoom, describeOn, grown, Up, waitFor, WHOLE_CHAIN } from '@netstatd/testkit';

const STATE_DIR = '/run/netstatd-test';

describeOn(WHOLE_CHAIN, 'what netstatd up leaves behind (E07)', () => {
  let room: CleanRoom;
  beforeEach(async () => {
    room = await CleanRoom.open();
    mkdirSync(join(room.entry.root, STATE_DIR));
  });
  afterEach(() => room.close());

  it.each([
    ['Ctrl+C', (up: Up) => up.interrupt(), 0],
    ['SIGTERM', (up: Up) => up.kill('SIGTERM'), 0],
    ['kill -9', (up: Up) => up.kill('SIGKILL'), 'SIGKILL'],
  ])('is nothing after %s', async (_, end, exit) => {
    const empty = room.look([]);
    const up = await Up.start({ ...room.entry, stateDir: STATE_DIR });
    try {
      await up.ready();
      const recorder = await up.record();
      const { gateway = 0, cluster = 0, collector = 0, enricher = 0, nats } = up.endpoints();
      const ports = [gateway, cluster, collector, enricher, Number(new URL(nats).port)];

      const running = room.look(ports);
      expect(running.processes.length).toBeGreaterThanOrEqual(5);
      for (const kind of ['prog', 'map', 'link'])
        expect(running.bpf.some((entry) => entry.startsWith(kind))).toBe(true);
      expect(running.sockets.length).toBeGreaterThanOrEqual(ports.length);
      const outside = (path: string) => !path.startsWith(STATE_DIR);
      expect(running.files.filter(outside)).toEqual(empty.files.filter(outside));

      end(up);
      expect(await up.ended).toBe(exit);
      recorder.close();
      const left = () =>
        grown(empty, room.look(ports)).filter((entry) => !entry.startsWith(`${STATE_DIR}/`));
      await waitFor('nothing to be left', () => left().length === 0).catch(() => undefined);
      expect(left()).toEqual([]);
    } finally {
      up.kill('SIGKILL');
      await up.ended;
    }
  });

  it('is nothing when a second one is refused the same state directory', async () => {
    const empty = room.look([]);
    const first = await Up.start({ ...room.entry, stateDir: STATE_DIR });
    try {
      await first.ready();
      const second = await Up.start({ ...room.entry, stateDir: STATE_DIR });
      expect(await second.ended).toBe(1);
      expect(second.log).toMatch(/netstatd up is running already/);
      await first.ready();
    } finally {
      first.kill('SIGTERM');
      await first.ended;
    }
    const left = () => grown(empty, room.look([])).filter((entry) => !entry.startsWith(STATE_DIR));
    await waitFor('nothing to be left', () => left().length === 0);
  });
});
