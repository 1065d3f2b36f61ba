import { RecordFlag, SocketKind } from '@netstatd/records';
import fc from 'fast-check';
import {
  cgroup,
  Harness,
  ip4,
  ownedBy,
  process,
  socket,
  tcp,
  type Actor,
  type Event,
} from './harness.fixture.ts';
import { FakeRuntime, podContainer } from './machine.fixture.ts';

const ID = '8e1f3c5b7a9d2e4f6081a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6';
const CONTAINERS = ['00', '01'].map((end, at) => ({
  ...{ id: ID + end, cgroupId: 50 + at, pod: `pod-${at}` },
}));

/** A record at its time; `ms` orders what one cpu sees, the interleaving does the rest. */
type Step = (ms: number) => Uint8Array;

const actors: readonly Actor[] = [0, 1, 2, 3].map((at) => ({
  pid: 100 + (at % 3),
  startNs: (1 + at) * 1e9,
  comm: `p${at}`,
  cgroupId: CONTAINERS[at % 2]?.cgroupId ?? 1,
}));

const lives: readonly (readonly Step[])[] = [
  ...CONTAINERS.map(({ id, cgroupId }): Step[] => [
    (ms) => cgroup.made(ms, cgroupId, `/docker/${id}`),
    (ms) => cgroup.removed(ms, cgroupId, `/docker/${id}`),
  ]),
  ...actors.map((actor): Step[] => [
    (ms) => process.forked(ms, actor, 1),
    (ms) => process.executed(ms, actor, `/bin/${actor.comm}`),
    (ms) => process.exited(ms, actor),
  ]),
  ...[1, 2, 3].map((cookie): Step[] => {
    const actor = actors[cookie]!;
    return [
      (ms) => tcp.connecting(ms, cookie, actor),
      (ms) => tcp.established(ms, cookie, actor),
      (ms) => tcp.closed(ms, cookie),
    ];
  }),
  ...[4, 5, 6].map((cookie): Step[] => {
    const actor = actors[cookie % 4]!;
    return [
      (ms) => tcp.inbound(ms, cookie),
      (ms) => tcp.accepted(ms, cookie, actor),
      (ms) => tcp.closed(ms, cookie),
    ];
  }),
  ...[7, 8].map((cookie): Step[] => {
    const fields = { localAddress: ip4('0.0.0.0'), localPort: 80 };
    const actor = actors[cookie % 4]!;
    return [
      (ms) => tcp.listening(ms, cookie, actor, fields),
      (ms) => socket(SocketKind.UNLISTENED, ms, cookie),
    ];
  }),
  ...[9, 10].map((cookie): Step[] => {
    const fields = { protocol: 17, ...ownedBy(actors[cookie % 4]!) };
    return [
      (ms) => socket(SocketKind.FLOW_OPENED, ms, cookie, fields),
      (ms) => socket(SocketKind.FLOW_CLOSED, ms, cookie, fields),
    ];
  }),
];

/** What happens between records. */
type Turn =
  | { readonly do: 'life'; readonly life: number }
  | { readonly do: 'again'; readonly back: number }
  | { readonly do: 'lose'; readonly life: number }
  | { readonly do: 'snapshot'; readonly cookies: readonly number[] }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'describe' | 'undescribe' | 'unknown'; readonly container: number }
  | { readonly do: 'follow'; readonly following: boolean }
  | { readonly do: 'client' };

const life = fc.nat(lives.length - 1);
const turn: fc.Arbitrary<Turn> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('life' as const), life }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('again' as const), back: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), life }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('snapshot' as const),
      cookies: fc.uniqueArray(fc.integer({ min: 1, max: 12 })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(800) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('client' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('describe' as const, 'undescribe' as const, 'unknown' as const),
      container: fc.nat(CONTAINERS.length - 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('follow' as const), following: fc.boolean() }),
  },
);

/** What a client knows: it checks that whatever is named was announced, and that nothing comes twice. */
class Client {
  readonly open = new Map<string, Event>();
  readonly #ports = new Map<string, Event>();
  readonly #pids = new Set<unknown>();
  readonly #containers = new Set<unknown>();

  see(event: Event): void {
    const { type, pid, containerUid, state, podName } = event;
    if (type === 'container.added') this.#containers.add(containerUid);
    const of = CONTAINERS.find(({ id }) => id === containerUid);
    if (podName !== undefined && podName !== of?.pod) {
      throw new Error(`in the pod of another container: ${JSON.stringify(event)}`);
    }
    if (containerUid !== undefined && !this.#containers.has(containerUid)) {
      throw new Error(`container not announced: ${JSON.stringify(event)}`);
    }
    if (type === 'container.deleted') this.#containers.delete(containerUid);
    if (type === 'process.metainfo') this.#pids.add(pid);
    if (pid !== undefined && !this.#pids.has(pid)) {
      throw new Error(`process not announced: ${JSON.stringify(event)}`);
    }
    if (type === 'connection.event') this.#connection(event, state);
    if (type === 'connection.accepted') this.#accepted(event);
    if (type.startsWith('port.')) this.#port(event);
  }

  /** What the containers of open connections are called. */
  get names(): string[] {
    return [...this.open]
      .map(
        ([key, { containerUid, podName }]) => `${key} ${String(containerUid)} ${String(podName)}`,
      )
      .sort();
  }

  /** Keys of what is open and listening. */
  get table(): string[] {
    return [...this.open.keys(), ...this.#ports.keys()].sort();
  }

  #connection(event: Event, state: unknown): void {
    const key = `${String(event.protocol)} ${String(event.sockCookie)}`;
    const known = this.open.get(key);
    if (state === 'CLOSE') this.open.delete(key);
    else if (known !== undefined && known.state === state && !corrects(event, known)) {
      throw new Error(`twice: ${JSON.stringify(event)}`);
    } else this.open.set(key, event);
  }

  #accepted(event: Event): void {
    const key = `${String(event.protocol)} ${String(event.sockCookie)}`;
    const known = this.open.get(key);
    if (known) this.open.set(key, { ...event, timestamp: known.timestamp });
  }

  #port(event: Event): void {
    const key = `port ${String(event.port)} ${String(event.pid)}`;
    const known = this.#ports.get(key);
    if (event.type === 'port.closed') this.#ports.delete(key);
    else if (known !== undefined && !corrects(event, known)) {
      throw new Error(`twice: ${JSON.stringify(event)}`);
    } else this.#ports.set(key, event);
  }
}

/** Whether an event is sent again because its container was described late; who came meanwhile may know that. */
function corrects(event: Event, known: Event): boolean {
  return event.timestamp === known.timestamp && event.podName !== undefined;
}

function play(turns: readonly Turn[]): void {
  const runtime = new FakeRuntime();
  const harness = new Harness({ runtime });
  const clients = [new Client()];
  const next = lives.map(() => 0);
  const sent: Uint8Array[] = [];
  let ms = 1;
  const tell = (events: readonly Event[]): void => {
    for (const event of events) for (const client of clients) client.see(event);
  };
  for (const each of turns) {
    ms += 7;
    if (each.do === 'life' || each.do === 'lose') {
      const step = lives[each.life]?.[next[each.life]!++];
      if (step === undefined) continue;
      const record = step(ms);
      if (each.do === 'lose') harness.batch(record);
      else tell(harness.send(record));
      if (each.do === 'life') sent.push(record);
    } else if (each.do === 'again') {
      const record = sent.at(-1 - each.back);
      if (record) tell(harness.send(record));
    } else if (each.do === 'snapshot') {
      const records = each.cookies.map((cookie) => {
        const fields = { state: 1, direction: cookie % 2, ...ownedBy(actors[cookie % 4]!) };
        return socket(SocketKind.OPEN, ms, cookie, fields, RecordFlag.SNAPSHOT);
      });
      tell(harness.snapshot(ms, ...records));
    } else if (each.do === 'wait') {
      tell(harness.wait(each.ms));
    } else if (each.do === 'follow') {
      runtime.following = each.following;
    } else if ('container' in each) {
      const { id, pod } = CONTAINERS[each.container]!;
      if (each.do === 'describe') tell(harness.describe(podContainer(id, pod)));
      else if (each.do === 'undescribe') tell(harness.undescribe(id));
      else tell(harness.during(() => harness.enricher.unknownContainer(id)));
    } else {
      const client = new Client();
      for (const event of harness.state()) client.see(event);
      clients.push(client);
    }
  }
  tell(harness.wait(2000));
  const fresh = new Client();
  for (const event of harness.state()) fresh.see(event);
  for (const client of clients) {
    expect(client.table).toEqual(fresh.table);
    expect(client.names).toEqual(fresh.names);
  }
}

test('Z01 Z02 A33 whatever the order, with repeats and losses, every client ends up with the same table', () => {
  fc.assert(fc.property(fc.array(turn, { maxLength: 150, size: 'max' }), play), { numRuns: 200 });
});
