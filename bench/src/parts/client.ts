import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Counted } from '../client.ts';
import { places } from './places.ts';

/** The counting client as a child process. */
export class Client {
  counted: Counted = { events: 0, bytes: 0, dropped: 0, also: [] };
  readonly #child: ChildProcess;
  readonly #opened: Promise<void>;
  #onCount: () => void = () => undefined;

  private constructor(url: string, needle: string, mode: string) {
    this.#child = fork(places.client, [url, needle, mode]);
    this.#opened = new Promise((resolve, reject) => {
      this.#child.on('message', (message) => {
        if (message === 'open') resolve();
        else this.counted = message as Counted;
        this.#onCount();
      });
      this.#child.once('exit', (code) => reject(new Error(`the client ended with ${code}`)));
    });
    this.#opened.catch(() => undefined);
  }

  /** Connects and waits for the opening to be complete. `needle` is in each event once that counts. */
  static async open(address: URL, needle: string, mode = ''): Promise<Client> {
    const client = new Client(address.href.replace(/^http/, 'ws'), needle, mode);
    await client.#opened;
    return client;
  }

  /** Waits for news, at most so long. */
  async news(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#onCount = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Waits until so many events are counted or nothing has come for a while. */
  async until(events: number, patienceMs = 3000): Promise<void> {
    let last = performance.now();
    let seen = this.counted.events;
    while (this.counted.events < events && performance.now() - last < patienceMs) {
      await this.news(100);
      if (this.counted.events !== seen) last = performance.now();
      seen = this.counted.events;
    }
  }

  /** Everything, with the stamps. */
  async report(): Promise<Counted> {
    this.#child.send('report');
    for (;;) {
      await this.news(5000);
      if (this.counted.stamps) return this.counted;
    }
  }

  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await once(this.#child, 'exit');
  }
}
