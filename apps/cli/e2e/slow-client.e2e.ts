import type { NetstatdEvent } from '@netstatd/events';
import {
  describeOn,
  Lab,
  startUp,
  tableOf,
  waitFor,
  WHOLE_CHAIN,
  type Netns,
  type Recorder,
  type Up,
} from '@netstatd/testkit';

/** Enough for what the gateway and the kernel hold for one client; in rounds that others can follow. */
const ROUNDS = 20;
const ROUND = 1000;

describeOn(WHOLE_CHAIN, 'a client that stops reading (Z02)', () => {
  let lab: Lab;
  let up: Up;
  let netns: Netns;

  beforeAll(async () => {
    lab = new Lab();
    netns = lab.netns();
    up = await startUp();
  });
  afterAll(async () => {
    await up.stop();
    await lab.close();
  });

  /** Makes a connection that can be told by its process, and waits until the recorder has its end. */
  async function landmark(recorders: Recorder[]): Promise<(event: NetstatdEvent) => boolean> {
    const churn = await lab.traffic('churn', ['churn', '--count', '1'], { netns });
    const { pid } = await churn.said('done');
    const isIt = (event: NetstatdEvent) =>
      event.type === 'connection.event' &&
      event.pid === pid &&
      event.direction === 'outbound' &&
      event.state === 'CLOSE';
    for (const recorder of recorders) await recorder.waitFor('the landmark', isIt);
    return isIt;
  }

  const lags = (events: readonly NetstatdEvent[]) =>
    events.filter((event) => event.type === 'stream.lagged');

  /** Live events in a stretch: without openings, and without what tells of losses. */
  function live(events: readonly NetstatdEvent[]): number {
    let [count, opening] = [0, false];
    for (const { type } of events) {
      if (type === 'host.info') opening = true;
      if (!opening && type !== 'stream.lagged') count++;
      if (type === 'snapshot.complete') opening = false;
    }
    return count;
  }

  it.each([{ batch: false }, { batch: true }])(
    'is told how many events it lost and gets the state anew; no other client notices: %j',
    async (options) => {
      const slow = await up.record({}, options);
      const others = [await up.record(), await up.record({}, { batch: true })];
      const all = [slow, ...others];
      const begin = await landmark(all);

      slow.pause();
      for (let round = 0; round < ROUNDS; round++) {
        const churn = await lab.traffic('churn', ['churn', '--count', String(ROUND)], { netns });
        expect(await churn.said('done')).toMatchObject({ made: ROUND });
        await churn.stop();
        await landmark(others);
      }
      const middle = await landmark(others);
      slow.resume();
      await waitFor('snapshot.complete after the loss', () => {
        const lagged = slow.events.findIndex(({ type }) => type === 'stream.lagged');
        return (
          lagged >= 0 && slow.events.slice(lagged).some(({ type }) => type === 'snapshot.complete')
        );
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
