import type { ClientUnaryCall } from '@grpc/grpc-js';
import { count, type Counts } from './count.ts';
import {
  RuntimeServiceClient,
  type Container,
  type ListContainersResponse,
  type ListPodSandboxResponse,
  type ContainerStatusResponse,
  type PodSandboxStatusResponse,
  type VersionResponse,
} from './generated/cri/runtime.ts';
import {
  containerState,
  describeContainer,
  describeSandbox,
  originOf,
  sandboxFacts,
  sandboxState,
  verboseInfo,
  type Described,
  type Origin,
  type SandboxFacts,
  type VerboseInfo,
} from './cri-container.ts';
import { RpcError, RpcStatus } from './rpc-error.ts';
import { RpcChannel, type CallParts } from './rpc.ts';
import { ConnectionError } from './runtime-api.ts';
import type { ListedContainer, RuntimeApi, RuntimeNews } from './runtime-api.ts';
import type { RuntimeContainer } from './runtime-container.ts';

/** How long a runtime may take for one answer. */
const ANSWER_MS = 5000;
const LIST_MS = 20_000;
/** Between two lists where there are no events: kubelet itself lists every second. */
const POLL_MS = 2000;
/** Between two lists where there are. */
const RELIST_MS = 60_000;

export interface CriTimes {
  readonly answerMs?: number;
  readonly listMs?: number;
  readonly pollMs?: number;
  readonly relistMs?: number;
}

/** One connection to a runtime that speaks CRI, runtime.v1. */
export class CriApi implements RuntimeApi {
  readonly lost: Promise<never>;
  readonly #channel: RpcChannel;
  readonly #client: RuntimeServiceClient;
  readonly #news: RuntimeNews;
  readonly #counters: Counts;
  readonly #times: Required<CriTimes>;
  readonly #socket: string;
  #lose!: (error: Error) => void;
  #version = '';
  #origin: Origin = { runtime: 'unknown' };
  #polled = false;
  /** What the last list had: which ids are sandboxes, and a container's own entry. */
  #sandboxIds = new Set<string>();
  #listed = new Map<string, Container>();
  #facts = new Map<string, SandboxFacts>();

  private constructor(socket: string, news: RuntimeNews, counters: Counts, times: CriTimes) {
    this.#channel = new RpcChannel(socket);
    this.#client = this.#channel.client(RuntimeServiceClient);
    this.#socket = socket;
    this.#news = news;
    this.#counters = counters;
    this.#times = {
      answerMs: ANSWER_MS,
      listMs: LIST_MS,
      pollMs: POLL_MS,
      relistMs: RELIST_MS,
      ...times,
    };
    this.lost = new Promise((_, reject) => (this.#lose = reject));
    this.lost.catch(() => undefined);
  }

  /** @throws ConnectionError when nobody answers */
  static async connect(
    socket: string,
    news: RuntimeNews,
    counters: Counts,
    times: CriTimes,
  ): Promise<CriApi> {
    const api = new CriApi(socket, news, counters, times);
    try {
      await api.#greet();
      return api;
    } catch (error) {
      api.close();
      throw error;
    }
  }

  get name(): string {
    return `${this.#version} ${this.#socket}${this.#polled ? ' (polled: it tells no events)' : ''}`;
  }

  get relistMs(): number {
    return this.#polled ? this.#times.pollMs : this.#times.relistMs;
  }

  async list(): Promise<readonly ListedContainer[]> {
    // A pod that comes between the two lists has its containers asked for, and is found by the next.
    const { items } = await this.#ask<ListPodSandboxResponse>(
      'ListPodSandbox',
      this.#times.listMs,
      (...call) => this.#client.listPodSandbox({}, ...call),
    );
    const { containers } = await this.#ask<ListContainersResponse>(
      'ListContainers',
      this.#times.listMs,
      (...call) => this.#client.listContainers({}, ...call),
    );
    this.#sandboxIds = new Set(items.map(({ id }) => id));
    this.#listed = new Map(containers.map((container) => [container.id, container]));
    for (const id of this.#facts.keys()) if (!this.#sandboxIds.has(id)) this.#facts.delete(id);
    return [
      ...items.map(({ id, state }) => ({ id, state: sandboxState(state) })),
      ...containers.map(({ id, state }) => ({ id, state: containerState(state) })),
    ];
  }

  async describe(id: string): Promise<RuntimeContainer | undefined> {
    if (this.#sandboxIds.has(id)) return (await this.#sandbox(id)) ?? (await this.#container(id));
    return (await this.#container(id)) ?? (await this.#sandbox(id));
  }

  close(): void {
    this.#channel.close();
  }

  async #greet(): Promise<void> {
    const { runtimeName, runtimeVersion } = await this.#ask<VersionResponse>(
      'Version',
      this.#times.answerMs,
      (...call) => this.#client.version({ version: '' }, ...call),
    );
    this.#version = `${runtimeName} ${runtimeVersion}`.slice(0, 64);
    this.#origin = originOf(runtimeName);
    // Before 2.0, containerd gives each event to one reader only: kubelet would miss those that come here.
    if (this.#origin.runtime === 'containerd') this.#poll();
    else void this.#follow();
  }

  /** Reads events until there are no more. */
  async #follow(): Promise<void> {
    const seen = { any: false };
    try {
      const stream = this.#client.getContainerEvents({});
      await this.#channel.read('GetContainerEvents', stream, ({ containerId }) => {
        seen.any = true;
        this.#news.changed(containerId);
      });
      // CRI-O ends the stream at once, and well, where its events are not enabled.
      if (seen.any) this.#lose(new ConnectionError('GetContainerEvents: the runtime ended it'));
      else this.#poll();
    } catch (error) {
      if (error instanceof RpcError && error.code === RpcStatus.Unimplemented) this.#poll();
      else this.#lose(lost(error));
    }
  }

  #poll(): void {
    this.#polled = true;
    count(this.#counters, 'polled');
    this.#news.uncertain();
  }

  async #sandbox(id: string): Promise<RuntimeContainer | undefined> {
    const answer = await this.#ask<PodSandboxStatusResponse | undefined>(
      'PodSandboxStatus',
      this.#times.answerMs,
      (...call) => this.#client.podSandboxStatus({ podSandboxId: id, verbose: true }, ...call),
    ).catch(unlessUnknown);
    if (answer?.status?.id !== id) return undefined;
    const described = describeSandbox(this.#origin, answer.status, this.#info(answer.info));
    this.#facts.set(id, sandboxFacts(described.container));
    return this.#counted(described);
  }

  async #container(id: string): Promise<RuntimeContainer | undefined> {
    const entry = this.#listed.get(id);
    let answer: ContainerStatusResponse | undefined;
    try {
      answer = await this.#ask<ContainerStatusResponse | undefined>(
        'ContainerStatus',
        this.#times.answerMs,
        (...call) => this.#client.containerStatus({ containerId: id, verbose: true }, ...call),
      ).catch(unlessUnknown);
    } catch (error) {
      // A container that the runtime cannot describe is still listed by it.
      if (error instanceof ConnectionError || entry === undefined) throw error;
      count(this.#counters, 'malformed');
      return this.#described(entry, {});
    }
    return answer?.status?.id === id
      ? this.#described(answer.status, this.#info(answer.info))
      : undefined;
  }

  async #described(
    status: Container | Parameters<typeof describeContainer>[1],
    info: VerboseInfo,
  ): Promise<RuntimeContainer> {
    const sandboxId = info.sandboxId ?? this.#listed.get(status.id)?.podSandboxId;
    if (sandboxId && !this.#facts.has(sandboxId)) await this.#sandbox(sandboxId);
    const facts = sandboxId ? this.#facts.get(sandboxId) : undefined;
    return this.#counted(describeContainer(this.#origin, status, info, sandboxId, facts));
  }

  #info(info: Readonly<Record<string, string>>): VerboseInfo {
    const read = verboseInfo(info);
    if (read === undefined) count(this.#counters, 'malformed');
    return read ?? {};
  }

  #counted({ container, truncated }: Described): RuntimeContainer {
    if (truncated) {
      count(this.#counters, 'truncatedLabels');
    }
    return container;
  }

  #ask<Answer>(
    what: string,
    timeoutMs: number,
    start: (...call: CallParts<Answer>) => ClientUnaryCall,
  ): Promise<Answer> {
    return this.#channel.ask<Answer>(what, timeoutMs, start).catch((error: unknown) => {
      throw error instanceof RpcError && error.lost ? lost(error) : error;
    });
  }
}

const lost = (error: unknown) =>
  new ConnectionError(error instanceof Error ? error.message : String(error));

function unlessUnknown(error: unknown): undefined {
  if (error instanceof RpcError && error.code === RpcStatus.NotFound) return undefined;
  throw error;
}
