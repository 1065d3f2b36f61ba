import type { ContainerRuntime } from './cgroup-path.ts';

/** A container as its runtime describes it. What the runtime does not say is absent. */
export interface RuntimeContainer {
  /** The runtime's id: 64 hexadecimal digits from Kubernetes runtimes; containerd's own clients choose theirs. */
  readonly id: string;
  readonly runtime: ContainerRuntime;
  /** containerd's namespace, e.g. "k8s.io", "moby". */
  readonly containerdNamespace?: string;
  /** Name at the runtime: Docker's name, CRI's container name; absent where there is only an id. */
  readonly name?: string;
  /** Name of the image as it was asked for. */
  readonly image?: string;
  /** Labels at the runtime; bounded in number and length. */
  readonly labels: Readonly<Record<string, string>>;
  /** Kubernetes, from labels: present all or none for containers of pods, but for `containerName` of a sandbox. */
  readonly podName?: string;
  readonly podNamespace?: string;
  readonly podUid?: string;
  readonly containerName?: string;
  /** The pause container of a pod. */
  readonly sandbox: boolean;
  /** Id of the pod's sandbox, where the runtime tells. */
  readonly sandboxId?: string;
  /** First process, in the initial pid namespace; absent before it was started and after it has ended. */
  readonly pid?: number;
  /** Path of the network namespace that the runtime was told to use, e.g. /var/run/netns/cni-…. */
  readonly netnsPath?: string;
  /** Addresses that the runtime recorded for the pod, one text form each; absent when it records none. */
  readonly podIPs?: readonly string[];
  /** Whether the pod was asked to share the host's network namespace. */
  readonly hostNetwork?: boolean;
  /** The cgroup it was asked to live in, as in the OCI spec, e.g. "kubepods-….slice:cri-containerd:<id>". */
  readonly cgroupsPath?: string;
  readonly state: 'created' | 'running' | 'exited';
  /** Microseconds since 1970. */
  readonly createdMicros?: number;
  readonly startedMicros?: number;
  readonly exitedMicros?: number;
}

/** What a runtime, or several, tell of their containers. */
export interface RuntimeEvents {
  /** A container was made or is another than before; the whole description each time. */
  readonly container: (container: RuntimeContainer) => void;
  /** The runtime knows no such container any more. */
  readonly removed: (id: string) => void;
}

/** How a runtime is followed at the moment, for readiness and status. */
export interface RuntimeState {
  /** What is followed: "containerd /run/containerd/containerd.sock". */
  readonly name: string;
  /** Its events are followed, and all its containers were listed since. */
  readonly synced: boolean;
  /** Why not, in words; absent when synced. */
  readonly reason?: string;
}

/**
 * Follows a container runtime: events first, then the list, and again after each loss of the connection, so that no
 * start and no stop is missed or told twice.
 */
export interface RuntimeFollower {
  readonly state: RuntimeState;
  /** Counted since the start, by name: connects, failures, events, lists, malformed, truncatedLabels, … */
  readonly counters: Readonly<Record<string, number>>;
  /** Containers known now. */
  readonly size: number;
  /**
   * Asks for one container at once, because the kernel has named it before the runtime did. What is found comes
   * through `container` first.
   * @returns whether the runtime knows it; false also when it cannot be asked within `timeoutMs`
   */
  inspect(id: string, timeoutMs: number): Promise<boolean>;
  close(): void;
}
