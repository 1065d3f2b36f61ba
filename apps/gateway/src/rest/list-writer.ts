import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

/** Characters gathered before they are handed to the socket. */
const chunkLength = 64 << 10;

/** Writes `{"items":[…],…}` item by item, no faster than the client takes it. */
export class ListWriter {
  readonly #response: ServerResponse;
  #chunk = '';
  #items = 0;
  #started = false;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  /** Something has been sent: it is too late for an error document. */
  get started(): boolean {
    return this.#started;
  }

  get gone(): boolean {
    return this.#response.destroyed;
  }

  /** Adds an item, given as JSON text. */
  add(json: string): void {
    this.#chunk += this.#items === 0 ? json : `,${json}`;
    this.#items += 1;
  }

  /** Sends what has gathered, when it is enough; resolves when the client can take more. */
  async flow(): Promise<void> {
    if (this.#chunk.length < chunkLength) return;
    if (this.#write() || this.gone) return;
    await Promise.race([once(this.#response, 'drain'), once(this.#response, 'close')]);
  }

  /** Ends the list with the members after `items`; absent ones are undefined. */
  end(members: Readonly<Record<string, unknown>>): void {
    let tail = ']';
    for (const [name, value] of Object.entries(members)) {
      if (value !== undefined) tail += `,${JSON.stringify(name)}:${JSON.stringify(value)}`;
    }
    this.#write();
    this.#response.end(`${tail}}`);
  }

  #write(): boolean {
    let chunk = this.#chunk;
    this.#chunk = '';
    if (!this.#started) {
      this.#started = true;
      this.#response.setHeader('content-type', 'application/json');
      this.#response.setHeader('cache-control', 'no-store');
      chunk = `{"items":[${chunk}`;
    }
    return this.#response.write(chunk);
  }
}
