import type { Counts } from './count.ts';
import { DockerApi, type DockerTimes } from './docker-api.ts';
import { ListedFollower, type FollowTimes } from './listed-follower.ts';
import type { RuntimeEvents } from './runtime-container.ts';

export interface DockerFollowerOptions extends DockerTimes, FollowTimes {
  /** Path of the engine's unix socket. */
  readonly socket: string;
  readonly events: RuntimeEvents;
}

/** Follows Docker, podman, or another engine with Docker's API. */
export class DockerFollower extends ListedFollower {
  constructor(options: DockerFollowerOptions) {
    const counters: Counts = { truncatedLabels: 0 };
    super(
      `docker ${options.socket}`,
      options.events,
      counters,
      (news) => DockerApi.connect(options.socket, news, counters, options),
      options,
    );
  }
}
