import type { EventRow } from '@netstatd/events';
import { columns, makeRow, parseFilter } from '@netstatd/events';
import fc from 'fast-check';
import { Follower } from './follower.ts';
import type { Weather } from './lossy-bus.fixture.ts';
import { LossyBus } from './lossy-bus.fixture.ts';
import { lostBy } from './lost.ts';
import { StreamPublisher } from './publisher.ts';
import type { Gap } from './sequence.ts';

// Other tests run on the same processors.
jest.setTimeout(60_000);

const log = { info: () => undefined, warn: () => undefined };
const column = columns['connection.event'];

/** A connection's row: `at` tells every row from every other. */
function row(at: number, cookie: number, state: string): EventRow {
  const values: EventRow = ['connection.event', at, 'TCP', 4, state];
  values[column.sockCookie] = cookie;
  return values;
}

/** A table of open connections: cookie → time of the last event. */
class Table {
  readonly open = new Map<number, number>();

  apply(event: EventRow): void {
    if (event[0] !== 'connection.event') return;
    const cookie = Number(event[column.sockCookie]);
    if (event[column.state] === 'CLOSE') this.open.delete(cookie);
    else this.open.set(cookie, Number(event[1]));
  }

  rows(): EventRow[] {
    return [...this.open].map(([cookie, at]) => row(at, cookie, 'ESTABLISHED'));
  }

  sorted(): [number, number][] {
    return [...this.open].sort(([a], [b]) => a - b);
  }
}

/** An enricher that can be restarted, and what was published in its epochs. */
class Node {
  readonly table = new Table();
  readonly bus: LossyBus;
  epoch = 0;
  /** What it told of losses before the bus. */
  lost = 0;
  publisher: StreamPublisher;
  #now = 0;

  constructor(bus: LossyBus) {
    this.bus = bus;
    this.publisher = this.restart();
  }

  restart(): StreamPublisher {
    if (this.epoch > 0) this.publisher.close();
    const { bus, table } = this;
    this.publisher = new StreamPublisher({
      bus,
      node: 'a.b',
      epoch: ++this.epoch,
      snapshot: () => table.rows(),
      log,
    });
    return this.publisher;
  }

  publish(cookie: number, state: string): void {
    const event = row(++this.#now, cookie, state);
    this.table.apply(event);
    this.publisher.publish(event);
  }

  /** Tells of a loss before the bus. */
  lag(dropped: number): void {
    this.lost += dropped;
    this.publisher.publish(makeRow('stream.lagged', { timestamp: ++this.#now, dropped }));
  }
}

/** A follower, its table, and a check that nothing comes twice. */
class Reader {
  readonly table = new Table();
  readonly gaps: Gap[] = [];
  readonly follower: Follower;
  live = 0;
  /** What it was told of losses before the bus. */
  lost = 0;
  completes = 0;
  #newest = 0;
  #inState = false;

  constructor(bus: LossyBus, options: { maxBufferedEvents?: number } = {}) {
    this.follower = new Follower({
      bus,
      node: 'a.b',
      timeoutMs: 1000,
      ...options,
      onSnapshotStart: () => {
        this.table.open.clear();
        this.#inState = true;
      },
      onRow: (event) => this.#take(event),
      onSnapshotComplete: () => {
        this.completes++;
        this.#inState = false;
      },
      onGap: (gap) => this.gaps.push(gap),
    });
    this.follower.start();
  }

  #take(event: EventRow): void {
    const at = Number(event[1]);
    if (this.#inState) {
      expect(this.table.open.has(Number(event[column.sockCookie]))).toBe(false);
    } else {
      this.live++;
      this.lost += lostBy(event);
      expect(at).toBeGreaterThan(this.#newest);
    }
    this.#newest = Math.max(this.#newest, at);
    this.table.apply(event);
  }

  /** Live events, losses told by them, and those it said it missed. */
  accounted(): number {
    return this.live + this.lost + this.gaps.reduce((sum, { dropped = 0 }) => sum + dropped, 0);
  }
}

const weather = fc.oneof(
  fc.record({ loseBatches: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ repeatBatches: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ losePages: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ loseRequests: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ pageDelayMs: fc.constantFrom(0, 30, 300, 2000) }),
);
const lag = fc.record({ lag: fc.integer({ min: 1, max: 5000 }) });
const step = fc.oneof(
  { weight: 2, arbitrary: lag },
  { weight: 6, arbitrary: fc.record({ events: fc.integer({ min: 1, max: 900 }) }) },
  { weight: 4, arbitrary: fc.record({ passMs: fc.integer({ min: 1, max: 400 }) }) },
  { weight: 3, arbitrary: fc.record({ weather }) },
  { weight: 1, arbitrary: fc.constant({ restart: true }) },
);
type Step =
  | { events: number }
  | { lag: number }
  | { passMs: number }
  | { weather: Partial<Weather> }
  | object;

async function play(steps: readonly Step[], options = {}): Promise<{ node: Node; reader: Reader }> {
  const bus = new LossyBus();
  const node = new Node(bus);
  const reader = new Reader(bus, options);
  let count = 0;
  for (const one of steps) {
    if ('events' in one)
      for (let i = 0; i < one.events; i++)
        node.publish(count++ % 97, count % 3 === 0 ? 'CLOSE' : 'ESTABLISHED');
    else if ('lag' in one) node.lag(one.lag);
    else if ('passMs' in one) await jest.advanceTimersByTimeAsync(one.passMs);
    else if ('weather' in one) Object.assign(bus.weather, one.weather);
    else node.restart();
  }
  Object.assign(bus.weather, { loseBatches: 0, losePages: 0, loseRequests: 0, pageDelayMs: 0 });
  await jest.advanceTimersByTimeAsync(20_000);
  reader.follower.close();
  node.publisher.close();
  return { node, reader };
}

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

describe('Follower', () => {
  test('has the state, then every event once, whatever happens on the way', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const { node, reader } = await play(steps);
        expect(reader.table.sorted()).toEqual(node.table.sorted());
        expect(reader.follower.counters.gaps).toBe(reader.gaps.length);
        expect(reader.completes).toBeGreaterThan(0);
        jest.clearAllTimers();
      }),
      { numRuns: 80 },
    );
  });

  test('accounts for every event of an epoch, and every loss before it: seen, or said to be missed', async () => {
    const lossy = step.filter((one) => !('restart' in one));
    await fc.assert(
      fc.asyncProperty(fc.array(lossy, { maxLength: 25 }), async (steps) => {
        // The first state comes before the first event, so that everything after it counts.
        const { node, reader } = await play([{ passMs: 50 }, ...steps]);
        expect(reader.table.sorted()).toEqual(node.table.sorted());
        expect(reader.accounted()).toBe(node.publisher.counters.events + node.lost);
        jest.clearAllTimers();
      }),
      { numRuns: 80 },
    );
  });

  test('joins in the middle of things without a gap, however late the state comes', async () => {
    const calm = fc.oneof(
      fc.record({ events: fc.integer({ min: 1, max: 900 }) }),
      lag,
      fc.record({ passMs: fc.integer({ min: 1, max: 40 }) }),
      fc.record({ weather: fc.record({ repeatBatches: fc.integer({ min: 1, max: 5 }) }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(calm, { maxLength: 25 }), async (steps) => {
        const { node, reader } = await play([{ weather: { pageDelayMs: 300 } }, ...steps]);
        expect(reader.table.sorted()).toEqual(node.table.sorted());
        expect(reader.gaps).toEqual([]);
        expect(reader.completes).toBe(1);
        jest.clearAllTimers();
      }),
      { numRuns: 40 },
    );
  });

  test('says how many a lost batch cost, although nothing follows it', async () => {
    const { reader } = await play([
      { events: 5 },
      { passMs: 100 },
      { weather: { loseBatches: 1 } },
      { events: 7 },
      { passMs: 100 },
    ]);
    expect(reader.gaps).toEqual([{ node: 'a.b', missed: 7, dropped: 7, place: 'bus' }]);
    expect(reader.completes).toBe(2);
  });

  test('says what a batch told of losses, when that batch is lost', async () => {
    const { reader } = await play([
      { passMs: 100 },
      { lag: 100 },
      { passMs: 100 },
      { weather: { loseBatches: 1 } },
      { lag: 5000 },
      { events: 2 },
      { passMs: 100 },
    ]);
    expect(reader.lost).toBe(100);
    expect(reader.gaps).toEqual([{ node: 'a.b', missed: 3, dropped: 5003, place: 'bus' }]);
  });

  test('says what was told of losses within a gap that a state covers', async () => {
    const { reader } = await play([
      { passMs: 100 },
      { weather: { loseBatches: 1 } },
      { events: 2 },
      { passMs: 20 },
      // The batch that shows the gap; what follows is lost again, and is in the state.
      { events: 512 },
      { weather: { loseBatches: 1 } },
      { lag: 5000 },
      { passMs: 100 },
    ]);
    expect(reader.gaps).toEqual([
      { node: 'a.b', missed: 514, dropped: 514, place: 'bus' },
      { node: 'a.b', missed: 1, dropped: 5001, place: 'bus' },
    ]);
    expect(reader.completes).toBe(2);
  });

  test('says nothing of the time before it joined', async () => {
    const bus = new LossyBus();
    const node = new Node(bus);
    node.lag(1000);
    node.publish(1, 'ESTABLISHED');
    await jest.advanceTimersByTimeAsync(100);
    const reader = new Reader(bus);
    await jest.advanceTimersByTimeAsync(100);
    bus.weather.loseBatches = 1;
    node.publish(2, 'ESTABLISHED');
    await jest.advanceTimersByTimeAsync(3000);
    expect(reader.gaps).toEqual([{ node: 'a.b', missed: 1, dropped: 1, place: 'bus' }]);
    expect(reader.lost).toBe(0);
    reader.follower.close();
    node.publisher.close();
  });

  test('says that the publisher was started again', async () => {
    const { reader } = await play([{ events: 5 }, { passMs: 100 }, { restart: true }]);
    expect(reader.gaps).toEqual([{ node: 'a.b', place: 'restart' }]);
  });

  test('asks again when more comes than it may keep while the state is on its way', async () => {
    const { node, reader } = await play(
      [
        { weather: { pageDelayMs: 500 } },
        ...Array.from({ length: 20 }, () => [{ events: 100 }, { passMs: 20 }]).flat(),
        { weather: { pageDelayMs: 0 } },
      ],
      { maxBufferedEvents: 1000 },
    );
    expect(reader.follower.counters.failedSnapshots).toBeGreaterThan(0);
    expect(reader.table.sorted()).toEqual(node.table.sorted());
  });

  test('leaves out what its filter does', async () => {
    const bus = new LossyBus();
    const node = new Node(bus);
    const parsed = parseFilter([['state', 'CLOSE']]);
    if ('error' in parsed) throw new Error(parsed.error.allowed);
    const states: unknown[] = [];
    const follower = new Follower({
      bus,
      node: 'a.b',
      filter: parsed.filter,
      onRow: (event) => states.push(event[column.state]),
    });
    node.publish(1, 'ESTABLISHED');
    follower.start();
    await jest.advanceTimersByTimeAsync(100);
    node.publish(1, 'CLOSE');
    node.publish(2, 'ESTABLISHED');
    await jest.advanceTimersByTimeAsync(100);
    expect(states).toEqual(['CLOSE']);
    follower.close();
    node.publisher.close();
  });

  test('counts messages that are no batches and goes on', async () => {
    const bus = new LossyBus();
    const node = new Node(bus);
    const reader = new Reader(bus);
    bus.publish('netstatd.a_b.events', Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff));
    node.publish(1, 'ESTABLISHED');
    await jest.advanceTimersByTimeAsync(100);
    expect(reader.follower.counters.malformed).toBe(1);
    expect(reader.table.sorted()).toEqual([[1, 1]]);
    reader.follower.close();
    node.publisher.close();
  });
});
