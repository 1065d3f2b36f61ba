import type { Any } from './generated/containerd/wire.ts';
import { addressesOf, at, itemsAt, textAt } from './told.ts';

/** Larger JSON is not read: parsing it would hold up everything else. */
export const MAX_JSON_BYTES = 1 << 20;
/** CRI's NamespaceMode. */
const NODE = 2;

/** What is in JSON that somebody else wrote, or why it was not read. */
export type Told<T extends object> = T | 'absent' | 'oversized' | 'malformed';

/** What an OCI spec says of where a container lives. */
export interface OciPlace {
  readonly cgroupsPath: string | undefined;
  readonly netnsPath: string | undefined;
  /** Undefined where the spec does not tell: the namespace of another process may be the host's. */
  readonly hostNetwork: boolean | undefined;
  /** By CRI's annotations. */
  readonly containerName: string | undefined;
  readonly sandboxId: string | undefined;
}

/** What containerd's CRI plugin recorded of a pod. */
export interface SandboxMetadata {
  readonly podName: string | undefined;
  readonly podNamespace: string | undefined;
  readonly podUid: string | undefined;
  readonly netnsPath: string | undefined;
  readonly podIPs: readonly string[] | undefined;
  readonly hostNetwork: boolean;
}

/** What containerd's CRI plugin recorded of a container. */
export interface ContainerMetadata {
  readonly sandboxId: string | undefined;
  readonly containerName: string | undefined;
}

export function ociPlace(any: Any | undefined): Told<OciPlace> {
  const spec = jsonOf(any);
  if (typeof spec === 'string') return spec;
  const namespaces = at(spec, 'linux', 'namespaces');
  const network = itemsAt(namespaces).find((each) => textAt(each, 'type') === 'network');
  return {
    cgroupsPath: textAt(spec, 'linux', 'cgroupsPath'),
    netnsPath: textAt(network, 'path'),
    hostNetwork: Array.isArray(namespaces) ? hostNetwork(network) : undefined,
    containerName: textAt(spec, 'annotations', 'io.kubernetes.cri.container-name'),
    sandboxId: textAt(spec, 'annotations', 'io.kubernetes.cri.sandbox-id'),
  };
}

/** No network namespace is the host's, one without a path is new, and one at a path is named or that of a process. */
function hostNetwork(network: unknown): boolean | undefined {
  const path = textAt(network, 'path');
  if (network === undefined || path === '/proc/1/ns/net') return true;
  return path?.startsWith('/proc/') ? undefined : false;
}

export function sandboxMetadata(any: Any | undefined): Told<SandboxMetadata> {
  const told = jsonOf(any);
  if (typeof told === 'string') return told;
  const sandbox = at(told, 'Metadata');
  if (typeof sandbox !== 'object') return 'malformed';
  const pod = at(sandbox, 'Config', 'metadata');
  const options = at(sandbox, 'Config', 'linux', 'security_context', 'namespace_options');
  const podIPs = addressesOf([at(sandbox, 'IP'), ...itemsAt(sandbox, 'AdditionalIPs')]);
  return {
    podName: textAt(pod, 'name'),
    podNamespace: textAt(pod, 'namespace'),
    podUid: textAt(pod, 'uid'),
    netnsPath: textAt(sandbox, 'NetNSPath'),
    podIPs: podIPs.length > 0 ? podIPs : undefined,
    hostNetwork: at(options, 'network') === NODE,
  };
}

export function containerMetadata(any: Any | undefined): Told<ContainerMetadata> {
  const told = jsonOf(any);
  if (typeof told === 'string') return told;
  return {
    sandboxId: textAt(told, 'Metadata', 'SandboxID'),
    containerName: textAt(told, 'Metadata', 'Config', 'metadata', 'name'),
  };
}

function jsonOf(any: Any | undefined): Told<object> {
  if (any === undefined || any.value.length === 0) return 'absent';
  if (any.value.length > MAX_JSON_BYTES) return 'oversized';
  try {
    const { buffer, byteOffset, byteLength } = any.value;
    const value: unknown = JSON.parse(Buffer.from(buffer, byteOffset, byteLength).toString());
    return typeof value === 'object' && value !== null ? value : 'malformed';
  } catch {
    return 'malformed';
  }
}
