import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CleanRoom, grown, Up, waitFor, type Footprint, type Part } from '@netstatd/testkit';
import { Load } from '../parts/load.ts';
import { Account } from './account.ts';
import { Flood, FLOOD, type Flooded } from './flood.ts';
import { madeOf } from './made.ts';
import type { Options } from './options.ts';
import type { Progress } from './progress.ts';
import { restart, type Restart } from './restart.ts';
import { PARTS, Samples } from './samples.ts';
import { groupKey, RESIDENT_PORT } from './seen.ts';
import type { Verdict } from './verdict.ts';
import { Watch } from './watch.ts';

/** What happens once, at which part of the time; the second half is left to the load alone. */
const PLAN: readonly [at: number, what: Part | 'flood'][] = [
  [0.08, 'nats'],
  [0.15, 'collector'],
  [0.22, 'enricher'],
  [0.29, 'gateway'],
  [0.36, 'flood'],
];
const STATE_DIR = '/run/netstatd-soak';
const RESIDENTS = 500;
const LOG_LINES = 40;
const FORKS_A_SECOND = 220;

/** Everything that runs, and what it gave. */
export class Soak {
  readonly restarts: Restart[] = [];
  /** What is found out on the way. */
  readonly verdicts: Verdict[] = [];
  /** Groups begun while those of before had not ended: the machine did not keep up. */
  late = 0;
  beginMs = 0;
  endMs = 0;
  readonly #options: Options;
  readonly #progress: Progress;
  #room: CleanRoom | undefined;
  #empty: Footprint | undefined;
  #up: Up | undefined;
  #watch: Watch | undefined;
  #load: Load | undefined;
  #account: Account | undefined;
  #samples: Samples | undefined;
  #residents: { key: number; ends: number } | undefined;
  #onFlooded: (flooded: Flooded) => void = () => undefined;
  #stopped = false;

  constructor(options: Options, progress: Progress) {
    this.#options = options;
    this.#progress = progress;
  }

  get account(): Account {
    return must(this.#account);
  }
  get watch(): Watch {
    return must(this.#watch);
  }
  get samples(): Samples {
    return must(this.#samples);
  }

  /** The end of what `netstatd up` has written. */
  get log(): string {
    return this.#up?.log.split('\n').slice(-LOG_LINES).join('\n') ?? '';
  }

  /** Starts netstatd, the client and the load, does what is planned, and ends the load. */
  async run(): Promise<void> {
    const room = await CleanRoom.open();
    this.#room = room;
    mkdirSync(join(room.entry.root, STATE_DIR));
    this.#empty = room.look([]);
    const up = await Up.start({ ...room.entry, stateDir: STATE_DIR, flags: ['--node-name=soak'] });
    this.#up = up;
    await up.ready();
    this.#watch = await Watch.open(up.url('/conntrack'));
    this.#account = new Account(this.#watch);
    this.#samples = new Samples(up);
    const { minutes, rate } = this.#options;
    const load = new Load('soak', {
      ...{ tcp: rate, udp: Math.round(rate * 0.6), forks: FORKS_A_SECOND, residents: RESIDENTS },
    });
    this.#load = load;
    this.beginMs = Date.now();
    this.endMs = this.beginMs + minutes * 60_000;
    const reading = this.#read(load);
    await Promise.all([this.#plan(up), this.#sample()]);
    load.tell('stop');
    await reading;
    await this.account.finish();
    await this.#settle('at the end');
  }

  /** Ends everything that runs; what is left of it then. */
  async close(): Promise<string[]> {
    this.#stopped = true;
    await this.#load?.stop();
    await this.#watch?.close();
    const up = this.#up;
    const room = this.#room;
    if (up) {
      up.kill('SIGTERM');
      const timer = setTimeout(() => up.kill('SIGKILL'), 20_000);
      await up.ended;
      clearTimeout(timer);
    }
    const empty = this.#empty;
    if (!room || !empty) return [];
    const left = () =>
      grown(empty, room.look([])).filter((entry) => !entry.startsWith(`${STATE_DIR}/`));
    await waitFor('nothing to be left', () => left().length === 0, 10_000).catch(() => undefined);
    const found = left();
    room.close();
    return found;
  }

  /** What the load says, until it says that it has stopped. */
  async #read(load: Load): Promise<void> {
    for await (const said of load.lines()) {
      const line = said as unknown as { netns: number; connections: number; late: number };
      if (said.event === 'group') this.account.add(madeOf(said));
      else if (said.event === 'residents')
        this.#residents = {
          ...{ key: groupKey(line.netns, RESIDENT_PORT), ends: 2 * line.connections },
        };
      else if (said.event === 'flooded') this.#onFlooded(said as unknown as Flooded);
      else if (said.event === 'stopped') {
        this.late = line.late;
        return;
      }
    }
    if (!this.#stopped) throw new Error('the load ended by itself');
  }

  async #plan(up: Up): Promise<void> {
    for (const [at, what] of PLAN) {
      await delay(Math.max(0, this.beginMs + at * (this.endMs - this.beginMs) - Date.now()));
      if (what === 'flood') await this.#flood(up);
      else await this.#restart(up, what);
    }
    await delay(Math.max(0, this.endMs - Date.now()));
  }

  async #restart(up: Up, part: Part): Promise<void> {
    this.#progress.note(`${this.#clock()}  kill -9 ${part}`);
    const done = await restart(up, this.watch, part);
    this.restarts.push(done);
    const told = done.announced ?? 'NOT TOLD';
    this.#progress.note(`${this.#clock()}  ${part} is back after ${done.awayMs} ms: ${told}`);
    await this.#settle(`after the restart of ${part}`, false);
  }

  async #flood(up: Up): Promise<void> {
    this.#progress.note(`${this.#clock()}  ${FLOOD.flows} flows of one socket`);
    const flood = await Flood.before(up, this.watch);
    const flooded = new Promise<Flooded>((resolve) => (this.#onFlooded = resolve));
    must(this.#load).tell(`flood ${FLOOD.flows} ${FLOOD.rate}`);
    this.verdicts.push(await flood.verdict(await flooded));
  }

  /** The client's table is whole: of what stays open all, and at the end nothing else of the load. */
  async #settle(when: string, alone = true): Promise<void> {
    const residents = must(this.#residents);
    const ours = new Set(this.account.done.map(({ made }) => groupKey(made.netns, made.port)));
    let [held, others] = [0, 0];
    const look = async () => {
      const open = await this.watch.open();
      held = open.get(residents.key) ?? 0;
      others = [...open].reduce((sum, [key, n]) => sum + (ours.has(key) ? n : 0), 0);
      return held === residents.ends && (!alone || others === 0);
    };
    const ok = await waitFor('the table to be whole', look, 15_000).catch(() => false);
    this.verdicts.push({
      name: `the table is whole ${when}`,
      measured: `${held} of ${residents.ends} ends that stay open${alone ? `, ${others} others` : ''}`,
      rule: alone ? 'all, and nothing else' : 'all',
      ok,
    });
  }

  async #sample(): Promise<void> {
    for (let tick = 0; Date.now() < this.endMs; tick++) {
      const next = delay(1000);
      await Promise.all([this.samples.lookAtTables(), this.account.look()]);
      if (tick % 2 === 0) this.samples.lookAtProcesses();
      this.#progress.show(this.#status());
      await next;
    }
  }

  #clock(): string {
    const seconds = Math.round((Date.now() - this.beginMs) / 1000);
    return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
  }

  #status(): string {
    const { peers, events } = this.watch.state;
    const memory = PARTS.map((part) => {
      const size = this.samples.parts.get(part)?.at(-1)?.pssMB;
      return `${part} ${size?.toFixed(0) ?? '?'}`;
    });
    const { done, missing } = this.account;
    return (
      `${this.#clock()} of ${this.#options.minutes} min  ${peers} peers, ${events} events  ` +
      `MB: ${memory.join(' ')}  ${done.length} groups, ${missing} missing`
    );
  }
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('it has not been started');
  return value;
}
