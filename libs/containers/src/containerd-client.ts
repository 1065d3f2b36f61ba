import { Metadata } from '@grpc/grpc-js';
import {
  ContainersClient,
  type Container,
  type GetContainerResponse,
  type ListContainersResponse,
} from './generated/containerd/containers.ts';
import { EventsClient, type Envelope } from './generated/containerd/events.ts';
import {
  NamespacesClient,
  type ListNamespacesResponse,
} from './generated/containerd/namespaces.ts';
import type { Process } from './generated/containerd/task-types.ts';
import {
  TasksClient,
  type GetResponse,
  type ListTasksResponse,
} from './generated/containerd/tasks.ts';
import { VersionClient, type VersionResponse } from './generated/containerd/version.ts';
import { RpcError, RpcStatus } from './rpc-error.ts';
import { RpcChannel } from './rpc.ts';

/** How long to wait for answers, in milliseconds. */
export interface ContainerdTimeouts {
  /** For one thing. */
  readonly callMs: number;
  /** For a list. containerd asks every task's shim, and waits two seconds for one that hangs. */
  readonly listMs: number;
}

/** Topics that tell of containers; a filter's value needs quotes, for its slashes. */
const FILTERS = [
  '/containers/create',
  '/containers/update',
  '/containers/delete',
  '/tasks/start',
  '/tasks/exit',
  '/tasks/delete',
].map((topic) => `topic=="${topic}"`);

/** Asks one containerd, over one connection. Loads gRPC: import it only where there is a containerd. */
export class ContainerdClient {
  readonly #rpc: RpcChannel;
  readonly #timeouts: ContainerdTimeouts;
  readonly #version: VersionClient;
  readonly #events: EventsClient;
  readonly #namespaces: NamespacesClient;
  readonly #containers: ContainersClient;
  readonly #tasks: TasksClient;

  constructor(socket: string, timeouts: ContainerdTimeouts) {
    this.#rpc = new RpcChannel(socket);
    this.#timeouts = timeouts;
    this.#version = this.#rpc.client(VersionClient);
    this.#events = this.#rpc.client(EventsClient);
    this.#namespaces = this.#rpc.client(NamespacesClient);
    this.#containers = this.#rpc.client(ContainersClient);
    this.#tasks = this.#rpc.client(TasksClient);
  }

  async version(): Promise<string> {
    const answer = await this.#rpc.ask<VersionResponse>(
      'Version',
      this.#timeouts.callMs,
      (...call) => this.#version.version({}, ...call),
    );
    return answer.version;
  }

  async namespaces(): Promise<string[]> {
    const answer = await this.#rpc.ask<ListNamespacesResponse>(
      'Namespaces.List',
      this.#timeouts.callMs,
      (...call) => this.#namespaces.list({}, ...call),
    );
    return answer.namespaces.map(({ name }) => name);
  }

  /** Follows the events of all namespaces. Ends, with or without an error, when the connection is lost. */
  follow(each: (envelope: Envelope) => void): Promise<void> {
    return this.#rpc.read(
      'Events.Subscribe',
      this.#events.subscribe({ filters: FILTERS }, new Metadata()),
      each,
    );
  }

  /** Every container of a namespace. A stream, as one message may not hold them all; older servers have only that. */
  async containers(namespace: string, each: (container: Container) => void): Promise<void> {
    const deadline = Date.now() + this.#timeouts.listMs;
    const what = 'Containers.ListStream';
    try {
      const stream = this.#containers.listStream({ filters: [] }, within(namespace), { deadline });
      await this.#rpc.read(what, stream, ({ container }) => container && each(container));
    } catch (error) {
      if (!(error instanceof RpcError) || error.code !== RpcStatus.Unimplemented) throw error;
      const answer = await this.#rpc.ask<ListContainersResponse>(
        'Containers.List',
        this.#timeouts.listMs,
        (...call) => this.#containers.list({ filters: [] }, ...call),
        within(namespace),
      );
      answer.containers.forEach(each);
    }
  }

  /** One container; undefined when there is none. */
  container(namespace: string, id: string): Promise<Container | undefined> {
    return orNone(async () => {
      const answer = await this.#rpc.ask<GetContainerResponse>(
        'Containers.Get',
        this.#timeouts.callMs,
        (...call) => this.#containers.get({ id }, ...call),
        within(namespace),
      );
      return answer.container;
    });
  }

  /** The first process of every container of a namespace that has one. */
  async tasks(namespace: string): Promise<Process[]> {
    const answer = await this.#rpc.ask<ListTasksResponse>(
      'Tasks.List',
      this.#timeouts.listMs,
      (...call) => this.#tasks.list({}, ...call),
      within(namespace),
    );
    return answer.tasks;
  }

  /** The first process of one container; undefined when it has none. */
  task(namespace: string, id: string): Promise<Process | undefined> {
    return orNone(async () => {
      const answer = await this.#rpc.ask<GetResponse>(
        'Tasks.Get',
        this.#timeouts.callMs,
        (...call) => this.#tasks.get({ containerId: id }, ...call),
        within(namespace),
      );
      return answer.process;
    });
  }

  close(): void {
    this.#rpc.close();
  }
}

/** The header that every call but those about containerd as a whole needs. */
export function within(namespace: string): Metadata {
  const metadata = new Metadata();
  metadata.set('containerd-namespace', namespace);
  return metadata;
}

async function orNone<T>(ask: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof RpcError && error.code === RpcStatus.NotFound) return undefined;
    throw error;
  }
}
