import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { waitFor } from '@netstatd/testkit';
import { places } from '../parts/places.ts';
import type { Seen } from './seen.ts';
import type { Answer, Question, Word } from './words.ts';

export type Lagged = Extract<Word, { word: 'lagged' }>;

const ANSWER_MS = 30_000;

/** The watching client as a child process. */
export class Watch {
  readonly #child: ChildProcess;
  readonly #asked = new Map<number, (answer: Answer) => void>();
  #nextId = 1;
  /** Losses told, in order. */
  readonly lagged: Lagged[] = [];
  /** When the gateway was lost, milliseconds since 1970. */
  readonly closed: number[] = [];
  /** When an opening was complete. */
  readonly complete: number[] = [];
  state: Extract<Word, { word: 'state' }> = {
    ...{ word: 'state', events: 0, malformed: 0, peers: 0, openings: 0 },
  };

  private constructor(address: URL) {
    this.#child = fork(places.watcher, [address.href.replace(/^http/, 'ws')]);
    this.#child.on('message', (message: Word | Answer) => this.#hear(message));
  }

  /** Connects, and waits for the opening to be complete. */
  static async open(address: URL): Promise<Watch> {
    const watch = new Watch(address);
    await waitFor('the watching client', () => {
      watch.#mustLive();
      return watch.complete.length > 0;
    });
    return watch;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What was seen of a group. */
  async seen(key: number, forget: boolean): Promise<Seen> {
    const { seen } = await this.#ask({ key, forget });
    if (!seen) throw new Error('the watching client does not answer the question');
    return seen;
  }

  /** How many are open, by group. */
  async open(): Promise<Map<number, number>> {
    return new Map((await this.#ask({})).open);
  }

  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await once(this.#child, 'exit');
  }

  #mustLive(): void {
    const { exitCode, signalCode } = this.#child;
    const how = exitCode ?? signalCode;
    if (how !== null) throw new Error(`the watching client ended with ${how}`);
  }

  #ask(question: Omit<Question, 'id'>): Promise<Answer> {
    this.#mustLive();
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#asked.delete(id);
        reject(new Error('the watching client does not answer'));
      }, ANSWER_MS);
      this.#asked.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      this.#child.send({ id, ...question } satisfies Question);
    });
  }

  #hear(message: Word | Answer): void {
    if ('id' in message) {
      this.#asked.get(message.id)?.(message);
      this.#asked.delete(message.id);
    } else if (message.word === 'state') this.state = message;
    else if (message.word === 'lagged') this.lagged.push(message);
    else if (message.word === 'complete') this.complete.push(message.atMs);
    else this.closed.push(message.atMs);
  }
}
