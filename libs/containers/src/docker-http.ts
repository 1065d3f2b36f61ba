import { Agent, request, type IncomingMessage } from 'node:http';
import { ConnectionError } from './runtime-api.ts';

/** A longer answer is not read to its end. */
const MAX_ANSWER_BYTES = 64 << 20;
/** A line of a stream that is longer is skipped. */
const MAX_LINE_BYTES = 1 << 20;
/** Connections at a time, the stream of events apart. */
const CONNECTIONS = 8;
const NEWLINE = 10;

/** An answer that was read but is of no use; the connection is good for the next question. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError';
}

/** HTTP on a unix socket, as the Docker Engine API is spoken. Every question has an end, and every answer a bound. */
export class DockerHttp {
  readonly #socket: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  readonly #closed = new AbortController();
  readonly #maxAnswerBytes: number;

  constructor(socket: string, maxAnswerBytes = MAX_ANSWER_BYTES) {
    this.#socket = socket;
    this.#maxAnswerBytes = maxAnswerBytes;
  }

  /**
   * The JSON at a path; undefined when there is no such thing (404).
   * @throws ConnectionError when there is no whole answer in `timeoutMs`, AnswerError when it is none or too long
   */
  async get(path: string, timeoutMs: number): Promise<unknown> {
    const late = AbortSignal.timeout(timeoutMs);
    const signal = AbortSignal.any([this.#closed.signal, late]);
    try {
      const response = await this.#open(path, signal, this.#agent);
      if (response.statusCode !== 200) {
        response.destroy();
        if (response.statusCode === 404) return undefined;
        throw new AnswerError(`${path}: status ${response.statusCode ?? '?'}`);
      }
      const text = await this.#body(path, response);
      try {
        return JSON.parse(text) as unknown;
      } catch {
        throw new AnswerError(`${path}: no JSON`);
      }
    } catch (error) {
      if (error instanceof AnswerError) throw error;
      throw connectionError(path, late.aborted ? new Error('no answer in time') : error);
    }
  }

  /**
   * Begins to read lines that never end.
   * @returns once the server has accepted: `ended` rejects when the stream does
   * @throws ConnectionError when it does not accept in `timeoutMs`
   */
  async lines(
    path: string,
    timeoutMs: number,
    onLine: (line: string | undefined) => void,
  ): Promise<{ ended: Promise<never> }> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), timeoutMs);
    const signal = AbortSignal.any([this.#closed.signal, late.signal]);
    try {
      const response = await this.#open(path, signal, undefined);
      if (response.statusCode !== 200) {
        response.destroy();
        throw new Error(`status ${response.statusCode ?? '?'}`);
      }
      return { ended: this.#readLines(path, response, onLine) };
    } catch (error) {
      throw connectionError(path, late.signal.aborted ? new Error('no answer in time') : error);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#closed.abort();
    this.#agent.destroy();
  }

  #open(path: string, signal: AbortSignal, agent: Agent | undefined): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const asked = request(
        {
          socketPath: this.#socket,
          path,
          headers: { host: 'localhost', accept: 'application/json' },
          signal,
          ...(agent ? { agent } : { agent: false }),
        },
        resolve,
      );
      asked.on('error', reject);
      asked.end();
    });
  }

  async #body(path: string, response: IncomingMessage): Promise<string> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length;
      // Leaving the loop ends the connection.
      if (length > this.#maxAnswerBytes) throw new AnswerError(`${path}: too long`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, length).toString('utf8');
  }

  /** `onLine` gets undefined for a line that was too long to be kept. */
  async #readLines(
    path: string,
    response: IncomingMessage,
    onLine: (line: string | undefined) => void,
  ): Promise<never> {
    let parts: Buffer[] = [];
    let length = 0;
    const keep = (part: Buffer) => {
      length += part.length;
      if (length <= MAX_LINE_BYTES) parts.push(part);
      else parts = [];
    };
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        let from = 0;
        for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
          keep(chunk.subarray(from, end));
          const line = length > MAX_LINE_BYTES ? undefined : Buffer.concat(parts).toString('utf8');
          parts = [];
          length = 0;
          from = end + 1;
          if (line?.trim() !== '') onLine(line);
        }
        if (from < chunk.length) keep(chunk.subarray(from));
      }
    } catch (error) {
      throw connectionError(path, error);
    }
    throw connectionError(path, new Error('the stream ended'));
  }
}

const plainWords: Readonly<Record<string, string>> = {
  ENOENT: 'no such socket',
  ECONNREFUSED: 'nobody listens on the socket',
  EACCES: 'not allowed to open the socket',
  ECONNRESET: 'the connection was closed',
};

function connectionError(path: string, error: unknown): ConnectionError {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return new ConnectionError(`${path.split('?', 1)[0] ?? path}: ${plainWords[code] ?? message}`);
}
