import type { ContainerRuntime } from './cgroup-path.ts';
import { count, type Counts } from './count.ts';
import { describeDocker, isDockerId, readDockerEvent, readDockerList } from './docker-container.ts';
import { DockerHttp } from './docker-http.ts';
import { cut } from './labels.ts';
import type { ListedContainer, RuntimeApi, RuntimeNews } from './runtime-api.ts';
import { ConnectionError } from './runtime-api.ts';
import type { RuntimeContainer } from './runtime-container.ts';
import { at, itemsAt, textAt } from './told.ts';

const ANSWER_MS = 5000;
const LIST_MS = 20_000;
/** Between two lists that find what the events did not tell. */
const RELIST_MS = 60_000;
/** Descriptions from events that are kept for containers that are gone before they are asked for. */
const MAX_REMEMBERED = 1024;

export interface DockerTimes {
  readonly answerMs?: number;
  readonly listMs?: number;
  readonly relistMs?: number;
  /** Bytes of one answer; a longer one is not read. */
  readonly maxAnswerBytes?: number;
}

/** One connection to an engine that speaks the Docker Engine API: Docker itself, podman, cri-dockerd's Docker. */
export class DockerApi implements RuntimeApi {
  readonly lost: Promise<never>;
  readonly relistMs: number;
  readonly #http: DockerHttp;
  readonly #socket: string;
  readonly #counters: Counts;
  readonly #news: RuntimeNews;
  readonly #answerMs: number;
  readonly #listMs: number;
  readonly #remembered = new Map<string, RuntimeContainer>();
  #lose!: (error: unknown) => void;
  #version = '';
  #runtime: ContainerRuntime = 'docker';

  private constructor(socket: string, news: RuntimeNews, counters: Counts, times: DockerTimes) {
    this.#http = new DockerHttp(socket, times.maxAnswerBytes);
    this.#socket = socket;
    this.#news = news;
    this.#counters = counters;
    this.#answerMs = times.answerMs ?? ANSWER_MS;
    this.#listMs = times.listMs ?? LIST_MS;
    this.relistMs = times.relistMs ?? RELIST_MS;
    this.lost = new Promise((_, reject) => (this.#lose = reject));
    this.lost.catch(() => undefined);
  }

  /** @throws ConnectionError or AnswerError when nobody answers, or nobody who speaks this API */
  static async connect(
    socket: string,
    news: RuntimeNews,
    counters: Counts,
    times: DockerTimes,
  ): Promise<DockerApi> {
    const api = new DockerApi(socket, news, counters, times);
    try {
      await api.#greet();
      return api;
    } catch (error) {
      api.close();
      throw error;
    }
  }

  get name(): string {
    return `${this.#version} ${this.#socket}`;
  }

  async list(): Promise<readonly ListedContainer[]> {
    const { listed, malformed } = readDockerList(
      await this.#http.get('/containers/json?all=1', this.#listMs),
    );
    count(this.#counters, 'malformed', malformed);
    return listed;
  }

  async describe(id: string): Promise<RuntimeContainer | undefined> {
    // Another text might be somebody's name for a container.
    if (!isDockerId(id)) return undefined;
    const told = await this.#http.get(`/containers/${id}/json`, this.#answerMs);
    if (told === undefined) return undefined;
    const described = describeDocker(told, id, this.#runtime);
    if (described === undefined) throw new Error(`/containers/${id}/json: of another container`);
    this.#remembered.delete(id);
    if (described.truncated) count(this.#counters, 'truncatedLabels');
    return described.container;
  }

  remembered(id: string): RuntimeContainer | undefined {
    const container = this.#remembered.get(id);
    this.#remembered.delete(id);
    return container;
  }

  close(): void {
    this.#http.close();
  }

  async #greet(): Promise<void> {
    const told = await this.#http.get('/version', this.#answerMs);
    const version = textAt(told, 'Version');
    if (version === undefined) throw new ConnectionError('/version: no Docker Engine API');
    const podman = itemsAt(told, 'Components').some((part) => at(part, 'Name') === 'Podman Engine');
    this.#runtime = podman ? 'podman' : 'docker';
    this.#version = `${this.#runtime} ${cut(version, 32)}`;
    // Docker accepts a reader a moment before it counts as one: what happened in between is asked for.
    const since = Math.floor(Date.now() / 1000) - 1;
    const filters = encodeURIComponent('{"type":["container","network"]}');
    const { ended } = await this.#http.lines(
      `/events?since=${since}&filters=${filters}`,
      this.#answerMs,
      (line) => this.#event(line),
    );
    ended.catch((error: unknown) => this.#lose(error));
  }

  #event(line: string | undefined): void {
    const event = line === undefined ? null : readDockerEvent(line, this.#runtime);
    if (event === undefined) return;
    if (event === null) {
      count(this.#counters, 'malformed');
      this.#news.uncertain();
      return;
    }
    if (event.remembered !== undefined) this.#remember(event.remembered);
    this.#news.changed(event.id);
  }

  #remember(container: RuntimeContainer): void {
    this.#remembered.set(container.id, container);
    if (this.#remembered.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#remembered.keys()) {
      this.#remembered.delete(oldest);
      return;
    }
  }
}
