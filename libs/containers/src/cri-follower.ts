import type { Counts } from './count.ts';
import { CriApi, type CriTimes } from './cri-api.ts';
import { ListedFollower, type FollowTimes } from './listed-follower.ts';
import type { RuntimeEvents } from './runtime-container.ts';

export interface CriFollowerOptions extends CriTimes, FollowTimes {
  /** Path of the runtime's unix socket. */
  readonly socket: string;
  readonly events: RuntimeEvents;
}

/**
 * Follows a runtime through Kubernetes' Container Runtime Interface: CRI-O, and others that speak it. Where it tells
 * no events its containers are listed every two seconds, which `state` says.
 */
export class CriFollower extends ListedFollower {
  constructor(options: CriFollowerOptions) {
    const counters: Counts = { polled: 0, truncatedLabels: 0 };
    super(
      `cri ${options.socket}`,
      options.events,
      counters,
      (news) => CriApi.connect(options.socket, news, counters, options),
      options,
    );
  }
}
