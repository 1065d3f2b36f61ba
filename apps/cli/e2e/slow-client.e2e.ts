import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NetstatdEvent } from '@netstatd/events';
import {
  describeOn,
  Lab,
  startUp,
  tableOf,
  traffic,
  WHOLE_CHAIN,
  type Netns,
  type Recorder,
  type Up,
} from '@netstatd/testkit';

/** Connections in a round, few enough for the other clients to follow, and most rounds. */
const ROUND = 2000;
const MOST_ROUNDS = 100;

interface Status {
  nodes: { lost: { client: number } }[];
}

describeOn(WHOLE_CHAIN, 'a client that stops reading (Z02)', () => {
  let lab: Lab;
  let up: Up;
  let netns: Netns;

  /**
   * An executable of our own: what the machine's other processes do is filtered out, and slows
   * nobody.
   */
  let directory: string;
  let executable: string;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'netstatd-test-'));
    executable = join(directory, 'churn');
    copyFileSync(traffic('churn'), executable);
    lab = new Lab();
    netns = lab.netns();
    up = await startUp();
  });
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => up.stop());
  afterAll(() => lab.close());
  afterAll(() => rmSync(directory, { recursive: true }));

  /** Makes connections, and returns the pid of their process. */
  async function churn(count: number): Promise<number> {
    const place = { netns, executable };
    const process = await lab.traffic('churn', ['churn', '--count', String(count)], place);
    const { made, pid } = await process.said('done');
    expect(made).toBe(count);
    await process.stop();
    return pid;
  }

  /**
   * Makes a connection that can be told by its process, and waits until the recorder has its end.
   */
  async function landmark(recorders: Recorder[]): Promise<(event: NetstatdEvent) => boolean> {
    const pid = await churn(1);
    const isIt = (event: NetstatdEvent) =>
      event.type === 'connection.event' &&
      event.pid === pid &&
      event.direction === 'outbound' &&
      event.state === 'CLOSE';
    for (const recorder of recorders) await recorder.waitFor('the landmark', isIt);
    return isIt;
  }

  async function lostAtClients(): Promise<number | undefined> {
    const { nodes } = (await up.get('/api/status')) as Status;
    return nodes[0]?.lost.client;
  }

  const lags = (events: readonly NetstatdEvent[]) =>
    events.filter((event) => event.type === 'stream.lagged');

  /** Live events in a stretch: without openings, and without what tells of losses, which they follow. */
  function live(events: readonly NetstatdEvent[]): number {
    let [count, opening] = [0, false];
    for (const { type } of events) {
      if (type === 'stream.lagged') opening = true;
      if (!opening && type !== 'stream.lagged') count++;
      if (type === 'snapshot.complete') opening = false;
    }
    return count;
  }

  it.each([{ batch: false }, { batch: true }])(
    'is told how many events it lost and gets the state anew; no other client notices: %j',
    async (options) => {
      const ours = { exe: executable };
      const slow = await up.record(ours, options);
      const others = [await up.record(ours, { batch: false }), await up.record(ours)];
      const all = [slow, ...others];
      const begin = await landmark(all);

      slow.pause();
      const before = await lostAtClients();
      for (let round = 0; (await lostAtClients()) === before; round++) {
        expect(round).toBeLessThan(MOST_ROUNDS);
        await churn(ROUND);
        await landmark(others);
      }
      const middle = await landmark(others);
      slow.resume();
      let lagged = false;
      await slow.waitFor('snapshot.complete after the loss', ({ type }) => {
        lagged ||= type === 'stream.lagged';
        return lagged && type === 'snapshot.complete';
      });
      const end = await landmark(all);

      const stretch = ({ events }: Recorder) =>
        events.slice(events.findIndex(begin) + 1, events.findIndex(end) + 1);
      const told = lags(stretch(slow));
      expect(told.length).toBeGreaterThan(0);
      for (const each of told) expect(each).toMatchObject({ place: 'client' });
      const dropped = told.reduce(
        (sum, event) => sum + ('dropped' in event ? event.dropped! : 0),
        0,
      );
      expect(dropped).toBeGreaterThan(0);
      for (const other of others) {
        expect(lags(other.events)).toEqual([]);
        expect(other.events.some(middle)).toBe(true);
        expect(live(stretch(slow)) + dropped).toBe(live(stretch(other)));
      }
      const open = (recorder: Recorder) =>
        [...tableOf(recorder.events).connections.values()]
          .filter((event) => event.netns === netns.inode)
          .map(({ sockCookie }) => sockCookie);
      expect(open(slow)).toEqual(open(others[0]!));
      for (const recorder of all) {
        expect(recorder.problems).toEqual([]);
        recorder.close();
      }
    },
  );
});
