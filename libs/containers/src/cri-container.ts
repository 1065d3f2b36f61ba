import {
  ContainerState,
  NamespaceMode,
  PodSandboxState,
  type Container,
  type ContainerStatus,
  type PodSandboxMetadata,
  type PodSandboxStatus,
} from './generated/cri/runtime.ts';
import type { ContainerRuntime } from './cgroup-path.ts';
import { boundedLabels, cut, podOfLabels } from './labels.ts';
import type { RuntimeContainer } from './runtime-container.ts';
import { addressesOf, at, itemsAt, microsOfNanos, pidAt, textAt } from './told.ts';

/** A verbose answer's JSON may hold a whole OCI spec; a longer one is not read. */
const MAX_INFO = 4 << 20;

/** What only the verbose answers tell; their form is each runtime's own, but CRI-O's follows containerd's. */
export interface VerboseInfo {
  readonly pid?: number;
  readonly sandboxId?: string;
  readonly netnsPath?: string;
  readonly cgroupsPath?: string;
}

/** @returns undefined when the text is not as it should be */
export function verboseInfo(info: Readonly<Record<string, string>>): VerboseInfo | undefined {
  const text = info.info;
  if (text === undefined) return {};
  if (text.length > MAX_INFO) return undefined;
  let told: unknown;
  try {
    told = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof told !== 'object' || told === null) return undefined;
  const network = itemsAt(told, 'runtimeSpec', 'linux', 'namespaces').find(
    (namespace) => at(namespace, 'type') === 'network',
  );
  const pid = pidAt(told, 'pid');
  const sandboxId = textAt(told, 'sandboxID');
  const netnsPath = textAt(network, 'path');
  const cgroupsPath = textAt(told, 'runtimeSpec', 'linux', 'cgroupsPath');
  return {
    ...(pid !== undefined && { pid }),
    ...(sandboxId !== undefined && { sandboxId }),
    ...(netnsPath !== undefined && { netnsPath }),
    ...(cgroupsPath !== undefined && { cgroupsPath }),
  };
}

/** What a container has in common with its pod's sandbox. */
export type SandboxFacts = Pick<
  RuntimeContainer,
  'podName' | 'podNamespace' | 'podUid' | 'podIPs' | 'hostNetwork'
>;

/** A description, and whether its labels were cut. */
export interface Described {
  readonly container: RuntimeContainer;
  readonly truncated: boolean;
}

/** The runtime, and the namespace where it is containerd's. */
export type Origin = Pick<RuntimeContainer, 'runtime' | 'containerdNamespace'>;

/** By the name that a runtime gives itself. cri-dockerd calls itself docker. */
export function originOf(runtimeName: string): Origin {
  const runtimes: readonly ContainerRuntime[] = ['cri-o', 'containerd', 'docker'];
  const runtime = runtimes.find((name) => name === runtimeName.toLowerCase()) ?? 'unknown';
  // All that containerd's own CRI service makes lies there.
  return runtime === 'containerd' ? { runtime, containerdNamespace: 'k8s.io' } : { runtime };
}

export const sandboxState = (state: PodSandboxState): RuntimeContainer['state'] =>
  state === PodSandboxState.SANDBOX_READY ? 'running' : 'exited';

/** A state that the runtime does not know itself is one of a container that it has lost: nothing runs. */
export function containerState(state: ContainerState): RuntimeContainer['state'] {
  if (state === ContainerState.CONTAINER_CREATED) return 'created';
  return state === ContainerState.CONTAINER_RUNNING ? 'running' : 'exited';
}

/** The pause container of a pod. */
export function describeSandbox(
  origin: Origin,
  status: PodSandboxStatus,
  info: VerboseInfo,
): Described {
  const { labels, truncated } = boundedLabels(status.labels);
  const state = sandboxState(status.state);
  const mode = status.linux?.namespaces?.options?.network;
  const createdMicros = microsOfNanos(status.createdAt);
  const network = status.network;
  const ips = addressesOf([network?.ip, ...(network?.additionalIps ?? []).map(({ ip }) => ip)]);
  const container: RuntimeContainer = {
    id: status.id,
    ...origin,
    labels,
    ...(podOf(status.metadata) ?? podOfLabels(labels)),
    sandbox: true,
    sandboxId: status.id,
    ...(state === 'running' && info.pid !== undefined && { pid: info.pid }),
    ...(info.netnsPath !== undefined && { netnsPath: info.netnsPath }),
    // One that has ended has given its addresses back, which is not the same as having none.
    ...(network !== undefined && (ips.length > 0 || state === 'running') && { podIPs: ips }),
    ...(mode !== undefined && { hostNetwork: mode === NamespaceMode.NODE }),
    ...(info.cgroupsPath !== undefined && { cgroupsPath: info.cgroupsPath }),
    state,
    ...(createdMicros !== undefined && { createdMicros }),
  };
  return { container, truncated };
}

/** A container of a pod; `status` may be a list's entry, which tells less. */
export function describeContainer(
  origin: Origin,
  status: ContainerStatus | Container,
  info: VerboseInfo,
  sandboxId: string | undefined,
  sandbox: SandboxFacts | undefined,
): Described {
  const { labels, truncated } = boundedLabels(status.labels);
  const state = containerState(status.state);
  const name = status.metadata?.name;
  const { image } = status;
  const imageName = [image?.userSpecifiedImage, image?.image, status.imageRef].find(Boolean);
  const ofLabels = podOfLabels(labels);
  const createdMicros = microsOfNanos(status.createdAt);
  const startedMicros = 'startedAt' in status ? microsOfNanos(status.startedAt) : undefined;
  const exitedMicros = 'finishedAt' in status ? microsOfNanos(status.finishedAt) : undefined;
  const container: RuntimeContainer = {
    id: status.id,
    ...origin,
    ...(name && { name: cut(name) }),
    ...(imageName && { image: cut(imageName) }),
    labels,
    ...ofLabels,
    ...sandbox,
    ...((sandbox?.podName ?? ofLabels.podName) !== undefined &&
      name && { containerName: cut(name) }),
    sandbox: false,
    ...(sandboxId && { sandboxId: cut(sandboxId) }),
    ...(state === 'running' && info.pid !== undefined && { pid: info.pid }),
    ...(info.netnsPath !== undefined && { netnsPath: info.netnsPath }),
    ...(info.cgroupsPath !== undefined && { cgroupsPath: info.cgroupsPath }),
    state,
    ...(createdMicros !== undefined && { createdMicros }),
    ...(startedMicros !== undefined && { startedMicros }),
    ...(state === 'exited' && exitedMicros !== undefined && { exitedMicros }),
  };
  return { container, truncated };
}

/** What the containers of a sandbox take over from it. */
export function sandboxFacts(sandbox: RuntimeContainer): SandboxFacts {
  const { podName, podNamespace, podUid, podIPs, hostNetwork } = sandbox;
  return {
    ...(podName !== undefined && { podName }),
    ...(podNamespace !== undefined && { podNamespace }),
    ...(podUid !== undefined && { podUid }),
    ...(podIPs !== undefined && { podIPs }),
    ...(hostNetwork !== undefined && { hostNetwork }),
  };
}

function podOf(metadata: PodSandboxMetadata | undefined): SandboxFacts | undefined {
  if (!metadata?.name || !metadata.namespace || !metadata.uid) return undefined;
  return {
    podName: cut(metadata.name),
    podNamespace: cut(metadata.namespace),
    podUid: cut(metadata.uid),
  };
}
