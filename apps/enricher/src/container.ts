import type { CgroupContainer, ContainerRuntime } from '@netstatd/containers';

/** A container, known from the path of its cgroup. */
export class Container {
  readonly containerUid: string;
  readonly runtime: ContainerRuntime;
  readonly podUid: string | undefined;
  /** Its cgroup is gone: it is deleted with its last socket. */
  removed = false;
  /** Clients know of it: container.added was sent, and is part of the snapshot. */
  announced = false;
  /** Connections, flows and listeners that name it. */
  sockets = 0;

  constructor(found: CgroupContainer) {
    this.containerUid = found.containerUid;
    this.runtime = found.runtime;
    this.podUid = found.podUid;
  }
}
