import type { Container } from './generated/containerd/containers.ts';
import { containerMetadata, ociPlace, sandboxMetadata, type Told } from './containerd-metadata.ts';
import { microsOf } from './containerd-time.ts';
import { defined } from './defined.ts';
import { boundedLabels, cut, podOfLabels } from './labels.ts';
import type { RuntimeContainer } from './runtime-container.ts';

/** A container as its object at containerd describes it: without what its task and its pod's sandbox add. */
export type DescribedContainer = Omit<
  RuntimeContainer,
  'pid' | 'state' | 'startedMicros' | 'exitedMicros'
> & { readonly containerdNamespace: string };

/** What was cut or could not be read while a container was described. */
export type Complaint = 'truncatedLabels' | 'oversized' | 'malformed';

/** Ids and namespaces; containerd's own rule is stricter and its bound is 76. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,255}$/;

/** Whether a text can be an id of a container or the name of a namespace. */
export const isContainerdName = (text: string) => NAME.test(text);

/**
 * Reads a container's object. Labels, the OCI spec and what containerd's CRI plugin recorded come from many hands:
 * what is not as expected is left out and complained of.
 */
export function describeContainer(
  namespace: string,
  container: Container,
  complain: (complaint: Complaint) => void,
): DescribedContainer {
  const { labels, truncated } = boundedLabels(container.labels);
  if (truncated) complain('truncatedLabels');
  const heard = <T extends object>(told: Told<T>): T | undefined => {
    if (typeof told === 'object') return told;
    if (told !== 'absent') complain(told);
    return undefined;
  };
  const { extensions } = container;
  const place = heard(ociPlace(container.spec));
  const pod = heard(sandboxMetadata(extensions['io.cri-containerd.sandbox.metadata']));
  const member = heard(containerMetadata(extensions['io.cri-containerd.container.metadata']));
  const sandbox = labels['io.cri-containerd.kind'] === 'sandbox' || pod !== undefined;
  const containerName = sandbox ? undefined : (member?.containerName ?? place?.containerName);
  const labelled = podOfLabels(labels);
  return defined({
    id: container.id,
    runtime: 'containerd' as const,
    containerdNamespace: namespace,
    name: labels['nerdctl/name'] ?? labelled.containerName ?? containerName,
    image: container.image ? cut(container.image) : undefined,
    labels,
    podName: labelled.podName ?? pod?.podName,
    podNamespace: labelled.podNamespace ?? pod?.podNamespace,
    podUid: labelled.podUid ?? pod?.podUid,
    containerName: labelled.containerName ?? containerName,
    sandbox,
    sandboxId: sandbox ? container.id : (member?.sandboxId ?? place?.sandboxId),
    netnsPath: pod?.netnsPath ?? place?.netnsPath,
    podIPs: pod?.podIPs,
    hostNetwork: pod?.hostNetwork ?? place?.hostNetwork,
    cgroupsPath: place?.cgroupsPath,
    createdMicros: microsOf(container.createdAt),
  });
}

/** A container of a pod lives in the network that its pod's sandbox was given, and has its name. */
export function withSandbox(
  container: DescribedContainer,
  sandbox: DescribedContainer | undefined,
): DescribedContainer {
  if (sandbox === undefined) return container;
  const { podName, podNamespace, podUid, netnsPath, podIPs, hostNetwork } = sandbox;
  return {
    ...container,
    ...(container.podName === undefined && defined({ podName, podNamespace, podUid })),
    ...defined({ netnsPath, podIPs, hostNetwork }),
  };
}
