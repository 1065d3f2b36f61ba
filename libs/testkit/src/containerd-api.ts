import {
  ContainersClient,
  RuntimeServiceClient,
  within,
  type CallParts,
  type RpcChannel,
} from '@netstatd/containers/api';
import { IMAGE } from './containerd-image.ts';

/** A pod that CRI starts. */
export interface PodRequest {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  /** By name: what each container runs. */
  readonly containers: Readonly<Record<string, readonly string[]>>;
  readonly hostNetwork?: boolean;
}

export interface Pod {
  readonly sandboxId: string;
  /** Ids of its containers by name. */
  readonly containers: Readonly<Record<string, string>>;
  readonly cgroupParent: string;
}

/** Where containers see the directory that they share with the test. */
export const SHARED = '/shared';

const CALL_MS = 60_000;
/** CRI's NamespaceMode. */
const [POD, CONTAINER, NODE] = [0, 1, 2] as const;
/** Calls at a time. */
const AT_ONCE = 32;

/** What tests ask of containerd by gRPC. */
export class ContainerdApi {
  readonly #channel: RpcChannel;
  readonly #cri: RuntimeServiceClient;
  readonly #containers: ContainersClient;
  readonly #shared: string;
  readonly #pods: Set<string>;

  /** @param shared the directory that containers see as SHARED @param pods sandboxes that run; kept up to date */
  constructor(channel: RpcChannel, shared: string, pods: Set<string>) {
    this.#shared = shared;
    this.#pods = pods;
    this.#channel = channel;
    this.#cri = channel.client(RuntimeServiceClient);
    this.#containers = channel.client(ContainersClient);
  }

  /** Whether containerd answers, its CRI plugin too. */
  async ready(): Promise<boolean> {
    try {
      await this.#channel.ask('Version', 1000, (...call) =>
        this.#cri.version({ version: 'v1' }, ...call),
      );
      return true;
    } catch {
      return false;
    }
  }

  /** Starts a pod and its containers, with the labels that kubelet gives them. */
  async pod({ name, namespace, uid, containers, hostNetwork }: PodRequest): Promise<Pod> {
    const labels = {
      'io.kubernetes.pod.name': name,
      'io.kubernetes.pod.namespace': namespace,
      'io.kubernetes.pod.uid': uid,
    };
    const cgroupParent = `/kubepods/burstable/pod${uid}`;
    const network = hostNetwork ? NODE : POD;
    const namespaceOptions = { network, pid: CONTAINER, ipc: POD };
    const sandbox = {
      metadata: { name, namespace, uid, attempt: 0 },
      hostname: hostNetwork ? '' : name,
      logDirectory: '',
      labels,
      annotations: {},
      linux: { cgroupParent, securityContext: { namespaceOptions } },
    };
    const { podSandboxId } = await this.#ask<{ podSandboxId: string }>('RunPodSandbox', (...call) =>
      this.#cri.runPodSandbox({ config: sandbox, runtimeHandler: '' }, ...call),
    );
    this.#pods.add(podSandboxId);
    const mount = {
      ...{ containerPath: SHARED, hostPath: this.#shared, propagation: 0 },
      ...{ readonly: false, selinuxRelabel: false },
    };
    const made: Record<string, string> = {};
    for (const [containerName, command] of Object.entries(containers)) {
      const config = {
        metadata: { name: containerName, attempt: 0 },
        image: { image: IMAGE, userSpecifiedImage: '' },
        command: [...command],
        args: [],
        workingDir: '',
        envs: [],
        mounts: [mount],
        labels: { ...labels, 'io.kubernetes.container.name': containerName },
        annotations: {},
        logPath: '',
        linux: { securityContext: { namespaceOptions, privileged: false } },
      };
      const { containerId } = await this.#ask<{ containerId: string }>(
        'CreateContainer',
        (...call) =>
          this.#cri.createContainer({ podSandboxId, config, sandboxConfig: sandbox }, ...call),
      );
      await this.#ask('StartContainer', (...call) =>
        this.#cri.startContainer({ containerId }, ...call),
      );
      made[containerName] = containerId;
    }
    return { sandboxId: podSandboxId, containers: made, cgroupParent };
  }

  /** Ends a pod and removes it. */
  async removePod(podSandboxId: string): Promise<void> {
    await this.#ask('StopPodSandbox', (...call) =>
      this.#cri.stopPodSandbox({ podSandboxId }, ...call),
    );
    await this.#ask('RemovePodSandbox', (...call) =>
      this.#cri.removePodSandbox({ podSandboxId }, ...call),
    );
    this.#pods.delete(podSandboxId);
  }

  /** Ends and removes all pods that were started here. */
  async removePods(): Promise<void> {
    await Promise.all([...this.#pods].map((id) => this.removePod(id)));
  }

  /** Makes containers without tasks, with a spec of the given size. */
  async create(namespace: string, ids: readonly string[], specBytes = 8192): Promise<void> {
    const value = Buffer.from(JSON.stringify({ linux: {}, padding: 'x'.repeat(specBytes) }));
    const spec = { typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec', value };
    const runtime = { name: 'io.containerd.runc.v2' };
    for (let at = 0; at < ids.length; at += AT_ONCE)
      await Promise.all(
        ids.slice(at, at + AT_ONCE).map((id) => {
          const base = { id, labels: { made: 'by test' }, image: IMAGE, runtime, spec };
          const container = { ...base, createdAt: undefined, extensions: {} };
          return this.#channel.ask(
            'Create',
            CALL_MS,
            (...call) => this.#containers.create({ container }, ...call),
            within(namespace),
          );
        }),
      );
  }

  close(): void {
    this.#channel.close();
  }

  #ask<Answer>(
    what: string,
    start: (...call: CallParts<Answer>) => ReturnType<ContainersClient['get']>,
  ): Promise<Answer> {
    return this.#channel.ask<Answer>(what, CALL_MS, start);
  }
}
