import type { RuntimeContainer } from './runtime-container.ts';

/** A container as a runtime's list has it: just enough to see whether it must be asked for. */
export interface ListedContainer {
  readonly id: string;
  readonly state: RuntimeContainer['state'];
}

/** What a runtime says while it is connected. */
export interface RuntimeNews {
  /** Something happened to this container: it is asked for. */
  readonly changed: (id: string) => void;
  /** Something happened and it is not known what: everything is asked for. */
  readonly uncertain: () => void;
}

/** One connection to a runtime that is asked for lists and single containers. Every call has an end. */
export interface RuntimeApi {
  /** What it is, e.g. "cri-o 1.30.2 /run/crio/crio.sock". */
  readonly name: string;
  /** Milliseconds between two lists: short where the runtime tells no events. */
  readonly relistMs: number;
  /** Rejects when the events are lost, says why; never resolves. */
  readonly lost: Promise<never>;
  /** Everything there is, sandboxes before the containers in them. */
  list(): Promise<readonly ListedContainer[]>;
  /** @returns undefined when the runtime knows no such container. @throws ConnectionError, or another when only this one cannot be described */
  describe(id: string): Promise<RuntimeContainer | undefined>;
  /** What is known of a container that was gone before it could be described, from the events about it. */
  remembered?(id: string): RuntimeContainer | undefined;
  close(): void;
}

/** The connection is of no use any more. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
}
