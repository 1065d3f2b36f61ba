import type { NatsConnection } from 'nats';

/** Payload bytes after which the server is asked whether it has taken them. */
const ASK_BYTES = 64 << 10;

/**
 * Counts the bytes that were published and not yet taken by the server. The client itself has no
 * bound; a PING behind the messages is answered when the server has read them, whatever lies in
 * buffers in between.
 */
export class Pending {
  readonly #maxBytes: number;
  /** Grows with each connection, so that an answer to a lost one does not count. */
  #connection = 0;
  #bytes = 0;
  #unasked = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** False when the bound would be exceeded. */
  add(bytes: number): boolean {
    if (this.#bytes > 0 && this.#bytes + bytes > this.#maxBytes) return false;
    this.#bytes += bytes;
    this.#unasked += bytes;
    return true;
  }

  flushEnough(nats: NatsConnection): void {
    if (this.#unasked >= ASK_BYTES) this.flush(nats).catch(() => undefined);
  }

  /** Rejects when the connection is lost before the answer. */
  async flush(nats: NatsConnection): Promise<void> {
    const connection = this.#connection;
    const asked = this.#unasked;
    this.#unasked = 0;
    await nats.flush();
    if (connection === this.#connection) this.#bytes -= asked;
  }

  /** The connection is lost, and what was on its way with it. */
  reset(): void {
    this.#connection++;
    this.#bytes = 0;
    this.#unasked = 0;
  }
}
