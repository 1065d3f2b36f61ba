import {
  Channel,
  credentials,
  Metadata,
  status,
  type Client,
  type ChannelCredentials,
  type ClientOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ServiceError,
} from '@grpc/grpc-js';
import { RpcError } from './rpc-error.ts';

/** A message beyond it is refused: the lists of old servers are one message. */
const MAX_MESSAGE_BYTES = 64 << 20;
/** Longer texts of a server are cut. */
const MAX_DETAILS = 200;

/** What every generated call takes after its question. */
export type CallParts<Answer> = [
  metadata: Metadata,
  options: { deadline: number },
  done: (error: ServiceError | null, answer: Answer) => void,
];

type Cancellable = Pick<ClientUnaryCall, 'cancel'>;

/**
 * One connection to a gRPC server on a unix socket, without any reconnecting of its own: who uses it makes a new one.
 * No HTTP/2 pings are sent to see whether the server lives, as Go's servers end connections that ping more often than
 * every five minutes; ask the server something cheap instead.
 */
export class RpcChannel {
  readonly #channel: Channel;
  readonly #calls = new Set<Cancellable>();

  constructor(socket: string) {
    this.#channel = new Channel(`unix:${socket}`, credentials.createInsecure(), {
      'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_channelz': 0,
      'grpc.enable_retries': 0,
    });
  }

  /** A client of one service on this connection. */
  client<C extends Client>(
    constructor: new (
      address: string,
      credentials: ChannelCredentials,
      options?: Partial<ClientOptions>,
    ) => C,
  ): C {
    const options = { channelOverride: this.#channel };
    return new constructor('', credentials.createInsecure(), options);
  }

  /**
   * One question and its answer.
   * @throws {RpcError} when there is none in `timeoutMs`
   */
  ask<Answer>(
    what: string,
    timeoutMs: number,
    start: (...call: CallParts<Answer>) => ClientUnaryCall,
    metadata = new Metadata(),
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const call = start(metadata, { deadline: Date.now() + timeoutMs }, (error, answer) => {
        this.#calls.delete(call);
        if (error) reject(rpcError(what, error));
        else resolve(answer);
      });
      this.#calls.add(call);
    });
  }

  /**
   * Reads a stream to its end.
   * @returns when the server has ended it well
   * @throws {RpcError} when it breaks
   */
  read<Message>(
    what: string,
    stream: ClientReadableStream<Message>,
    each: (message: Message) => void,
  ): Promise<void> {
    this.#calls.add(stream);
    return new Promise((resolve, reject) => {
      stream.on('data', each);
      stream.on('error', (error: ServiceError) => {
        this.#calls.delete(stream);
        reject(rpcError(what, error));
      });
      stream.on('end', () => {
        this.#calls.delete(stream);
        resolve();
      });
    });
  }

  /** Ends every call and the connection. */
  close(): void {
    for (const call of this.#calls) call.cancel();
    this.#calls.clear();
    this.#channel.close();
  }
}

function rpcError(what: string, { code, details }: ServiceError): RpcError {
  // The library's own words for a missed deadline differ each time.
  const late = code === status.DEADLINE_EXCEEDED;
  const reason = late ? 'no answer in time' : details.slice(0, MAX_DETAILS);
  return new RpcError(`${what}: ${reason}`, code);
}
