import type { Log } from '@netstatd/service';
import { count, type Counts } from './count.ts';
import type {
  RuntimeContainer,
  RuntimeEvents,
  RuntimeFollower,
  RuntimeState,
} from './runtime-container.ts';
import { mergeDescriptions } from './sources-merge.ts';
import { candidateSockets, socketState, type RuntimeSocket } from './sources-sockets.ts';

/** Between two looks for runtimes that are not there yet. */
const LOOK_MS = 10_000;
/** A runtime whose socket has been gone so long was taken off the machine. */
const GONE_MS = 60_000;

export interface ContainerSourcesOptions {
  readonly events: RuntimeEvents;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** Where the host's root directory is seen; default "/". */
  readonly hostRoot?: string;
  /** CONTAINERD_SOCKET: this containerd, wherever it is, and no other runtime. */
  readonly containerdSocket?: string;
  /** Milliseconds between two looks for runtimes; default 10,000. */
  readonly lookMs?: number;
  /** Milliseconds without its socket after which a runtime is given up; default 60,000. */
  readonly goneMs?: number;
  /** Begins to follow a runtime; for tests. */
  readonly follow?: (socket: RuntimeSocket, events: RuntimeEvents) => Promise<RuntimeFollower>;
}

interface Source {
  readonly socket: RuntimeSocket;
  identity: string;
  /** Absent while its code is being loaded. */
  follower?: RuntimeFollower;
  /** When its socket was seen to be gone. */
  goneAt?: number;
  closed: boolean;
}

/**
 * All container runtimes of a machine as one: finds them, also those that come later, follows each, and merges what
 * several tell of the same container.
 */
export class ContainerSources implements RuntimeFollower {
  readonly #options: Required<Omit<ContainerSourcesOptions, 'containerdSocket'>>;
  readonly #chosen: string | undefined;
  readonly #sources = new Map<string, Source>();
  /** By container, then by source, the latest told last. */
  readonly #told = new Map<string, Map<Source, RuntimeContainer>>();
  /** Counts of sources that are gone, and the merging's own. */
  readonly #counters: Counts = { sources: 0, sourcesGone: 0, merged: 0 };
  readonly #forbidden = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  #saidNone = false;

  constructor(options: ContainerSourcesOptions) {
    this.#options = {
      hostRoot: '/',
      lookMs: LOOK_MS,
      goneMs: GONE_MS,
      follow: (socket, events) => followSocket(socket, events, options.log),
      ...options,
    };
    this.#chosen = options.containerdSocket;
    this.#timer = setInterval(() => this.#look(), this.#options.lookMs);
    this.#look();
  }

  /** Of all together: not synced while one is not. A machine without any runtime is synced. */
  get state(): RuntimeState {
    const states = this.states;
    const name = states.map((one) => one.name).join(', ') || 'no container runtime found';
    const waiting = states.filter((one) => !one.synced);
    if (waiting.length === 0) return { name, synced: true };
    const reason = waiting
      .map((one) => `${one.name}: ${one.reason ?? 'not listed yet'}`)
      .join('; ');
    return { name, synced: false, reason };
  }

  /** Of each runtime that is followed, and of the one that was asked for but is not there. */
  get states(): readonly RuntimeState[] {
    const states = [...this.#sources.values()].map(
      ({ follower, socket }): RuntimeState =>
        follower?.state ?? { name: nameOf(socket), synced: false, reason: 'starting' },
    );
    if (this.#chosen === undefined || states.length > 0) return states;
    const name = `containerd ${this.#chosen}`;
    const reason = this.#forbidden.size > 0 ? 'not allowed to open the socket' : 'no such socket';
    return [{ name, synced: false, reason }];
  }

  get counters(): Readonly<Record<string, number>> {
    const sum: Counts = { ...this.#counters };
    for (const { follower } of this.#sources.values()) addTo(sum, follower);
    return sum;
  }

  get size(): number {
    return this.#told.size;
  }

  async inspect(id: string, timeoutMs: number): Promise<boolean> {
    const followers = [...this.#sources.values()].flatMap(({ follower }) => follower ?? []);
    await Promise.all(followers.map((follower) => follower.inspect(id, timeoutMs)));
    return this.#told.has(id);
  }

  close(): void {
    clearInterval(this.#timer);
    for (const source of this.#sources.values()) {
      source.closed = true;
      source.follower?.close();
    }
  }

  /** Follows what has come, gives up what has gone. */
  #look(): void {
    const now = performance.now();
    for (const source of this.#sources.values()) this.#check(source, now);
    const followed = new Set([...this.#sources.values()].map(({ identity }) => identity));
    for (const socket of candidateSockets(this.#options.hostRoot, this.#chosen)) {
      if (this.#sources.has(socket.path)) continue;
      const found = socketState(socket.path);
      if (found === 'absent') continue;
      if (found === 'forbidden') this.#forbid(socket);
      else if (!followed.has(found.identity)) {
        followed.add(found.identity);
        this.#follow(socket, found.identity);
      }
    }
    if (this.#sources.size === 0 && !this.#saidNone) {
      this.#saidNone = true;
      this.#options.log.info(
        this.#chosen === undefined ? {} : { socket: this.#chosen },
        'no container runtime found; looking again every now and then',
      );
    }
  }

  #check(source: Source, now: number): void {
    const found = socketState(source.socket.path);
    if (typeof found === 'object') {
      source.identity = found.identity;
      delete source.goneAt;
      return;
    }
    source.goneAt ??= now;
    // The one that was asked for is waited for.
    if (this.#chosen !== undefined || now - source.goneAt < this.#options.goneMs) return;
    if (source.follower?.state.synced) return;
    this.#giveUp(source);
  }

  #follow(socket: RuntimeSocket, identity: string): void {
    const source: Source = { socket, identity, closed: false };
    this.#sources.set(socket.path, source);
    count(this.#counters, 'sources');
    this.#options.log.info(
      { runtime: socket.kind, socket: socket.path },
      'container runtime found',
    );
    const events: RuntimeEvents = {
      container: (container) => {
        if (!source.closed) this.#tell(source, container);
      },
      removed: (id) => this.#forget(source, id),
    };
    this.#options.follow(socket, events).then(
      (follower) => {
        if (source.closed) follower.close();
        else source.follower = follower;
      },
      (error: unknown) => {
        this.#options.log.warn({ error, socket: socket.path }, 'cannot follow container runtime');
        this.#giveUp(source);
      },
    );
  }

  #giveUp(source: Source): void {
    source.closed = true;
    source.follower?.close();
    addTo(this.#counters, source.follower);
    this.#sources.delete(source.socket.path);
    count(this.#counters, 'sourcesGone');
    const { kind, path } = source.socket;
    this.#options.log.info({ runtime: kind, socket: path }, 'container runtime given up');
    for (const [id, told] of this.#told) if (told.has(source)) this.#forget(source, id);
  }

  #forbid({ path }: RuntimeSocket): void {
    if (this.#forbidden.has(path)) return;
    this.#forbidden.add(path);
    this.#options.log.warn(
      { socket: path },
      'not allowed to open the socket of a container runtime',
    );
  }

  #tell(source: Source, container: RuntimeContainer): void {
    const told = this.#told.get(container.id) ?? new Map<Source, RuntimeContainer>();
    this.#told.set(container.id, told);
    told.delete(source);
    told.set(source, container);
    if (told.size > 1) count(this.#counters, 'merged');
    this.#options.events.container(mergeDescriptions([...told.values()]));
  }

  #forget(source: Source, id: string): void {
    const told = this.#told.get(id);
    if (!told?.delete(source)) return;
    if (told.size > 0) {
      this.#options.events.container(mergeDescriptions([...told.values()]));
      return;
    }
    this.#told.delete(id);
    this.#options.events.removed(id);
  }
}

const nameOf = ({ kind, path }: RuntimeSocket) => `${kind} ${path}`;

function addTo(sum: Counts, follower: RuntimeFollower | undefined): void {
  for (const [name, value] of Object.entries(follower?.counters ?? {})) count(sum, name, value);
}

/** Loads only what the runtime that is there needs: gRPC takes memory. */
async function followSocket(
  { kind, path }: RuntimeSocket,
  events: RuntimeEvents,
  log: Pick<Log, 'info' | 'warn'>,
): Promise<RuntimeFollower> {
  switch (kind) {
    case 'containerd': {
      const { ContainerdFollower } = await import('./containerd-follower.ts');
      return new ContainerdFollower({ socket: path, events, log });
    }
    case 'cri': {
      const { CriFollower } = await import('./cri-follower.ts');
      return new CriFollower({ socket: path, events });
    }
    case 'docker': {
      const { DockerFollower } = await import('./docker-follower.ts');
      return new DockerFollower({ socket: path, events });
    }
  }
}
