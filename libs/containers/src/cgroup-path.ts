/** The program that manages a container, as far as the path tells. */
export type ContainerRuntime = 'containerd' | 'cri-o' | 'docker' | 'podman' | 'unknown';

/** Quality-of-service class of a pod, from its place in kubelet's hierarchy. */
export type PodQos = 'guaranteed' | 'burstable' | 'besteffort';

/** What a cgroup path tells of the container that lives there. */
export interface CgroupContainer {
  /** The runtime's id of the container: 64 hexadecimal digits. */
  readonly containerUid: string;
  readonly runtime: ContainerRuntime;
  /** Uid of the pod as the API server writes it; for a static pod, the hash of its manifest. */
  readonly podUid?: string;
  readonly qos?: PodQos;
}

const ID_LENGTH = 64;
const UUID_LENGTH = 36;
const CONFIG_HASH_LENGTH = 32;
/** The kernel prints no longer one; what is longer comes from elsewhere. */
const PATH_MAX = 4096;

/** Runtimes by what stands before the id in a segment: "docker-<id>.scope", "crio-<id>", "…:cri-containerd:<id>". */
const runtimeOfPrefix = new Map<string, ContainerRuntime>([
  ['cri-containerd', 'containerd'],
  ['nerdctl', 'containerd'],
  ['crio', 'cri-o'],
  ['docker', 'docker'],
  ['libpod', 'podman'],
  ['libpod-payload', 'podman'],
]);

/** Runtimes by the parent of a segment that is a bare id. `default` and `k8s.io` are containerd's namespaces. */
const runtimeOfParent = new Map<string, ContainerRuntime>([
  ['docker', 'docker'],
  ['moby', 'docker'],
  ['k8s.io', 'containerd'],
  ['default', 'containerd'],
]);

/** A bare id below these is a pod of podman, or a system container, not one of ours. */
const parentsOfOthers = new Set(['libpod_parent', 'lxc', 'lxc.payload', 'lxc.monitor']);

/**
 * The container that a cgroup belongs to, from its path: the innermost one where containers are nested, undefined
 * where there is none (services, users, virtual machines, lxc, the monitors that runtimes keep beside containers).
 * Takes paths of any hierarchy and driver, seen from any cgroup namespace (`/../…`), also with their beginning cut
 * off. Linear in the length of the path.
 */
export function containerOfCgroup(path: string): CgroupContainer | undefined {
  if (path.length > PATH_MAX) return undefined;
  const segments = path.split('/');
  for (let at = segments.length - 1; at >= 0; at--) {
    const segment = segments[at] ?? '';
    if (segment.length < ID_LENGTH) continue;
    const found = containerOfSegment(segment, segments[at - 1] ?? '');
    if (found !== undefined) return { ...found, ...podOf(segments, at) };
  }
  return undefined;
}

function containerOfSegment(segment: string, parent: string): CgroupContainer | undefined {
  const name = segment.endsWith('.scope') ? segment.slice(0, -'.scope'.length) : segment;
  const containerUid = name.slice(-ID_LENGTH);
  if (!isHex(containerUid)) return undefined;
  if (name.length === ID_LENGTH) {
    if (parentsOfOthers.has(parent)) return undefined;
    return { containerUid, runtime: runtimeOfParent.get(parent) ?? 'unknown' };
  }
  const separator = name.charAt(name.length - ID_LENGTH - 1);
  if (separator !== '-' && separator !== ':') return undefined;
  const before = name.slice(0, -ID_LENGTH - 1);
  const prefix = before.slice(before.lastIndexOf(':') + 1);
  const runtime = runtimeOfPrefix.get(prefix);
  if (runtime !== undefined) return { containerUid, runtime };
  // "crio-conmon", "libpod-conmon": the process that watches a container lives outside it.
  const foreign = prefix.endsWith('conmon') || name === segment;
  return foreign ? undefined : { containerUid, runtime: 'unknown' };
}

/** The nearest pod at or above a segment: kubelet's "pod<uid>" or "kubepods-burstable-pod<uid>.slice". */
function podOf(
  segments: readonly string[],
  from: number,
): { podUid: string; qos?: PodQos } | undefined {
  for (let at = from; at >= 0; at--) {
    const name = segments[at] ?? '';
    const end = name.lastIndexOf('.slice');
    const pod = name.startsWith('pod') ? 0 : name.lastIndexOf('-pod', end) + 1;
    if (pod === 0 && !name.startsWith('pod')) continue;
    const podUid = podUidOf(name.slice(pod + 'pod'.length, end < 0 ? undefined : end));
    if (podUid === undefined) continue;
    const qos = qosOf(pod === 0 ? (segments[at - 1] ?? '') : name.slice(0, pod - 1));
    return qos === undefined ? { podUid } : { podUid, qos };
  }
  return undefined;
}

/** systemd's names cannot hold the dashes of a uuid: kubelet writes `_` for them. */
function podUidOf(text: string): string | undefined {
  if (text.length === CONFIG_HASH_LENGTH) return isHex(text) ? text : undefined;
  if (text.length !== UUID_LENGTH) return undefined;
  const uid = text.replaceAll('_', '-');
  for (let at = 0; at < UUID_LENGTH; at++) {
    const dash = at === 8 || at === 13 || at === 18 || at === 23;
    if (dash ? uid.charCodeAt(at) !== 0x2d : !isHexDigit(uid.charCodeAt(at))) return undefined;
  }
  return uid;
}

/** The parent of a pod names its class; pods directly below "kubepods" are guaranteed. */
function qosOf(parent: string): PodQos | undefined {
  if (parent.endsWith('burstable')) return 'burstable';
  if (parent.endsWith('besteffort')) return 'besteffort';
  return parent.endsWith('kubepods') ? 'guaranteed' : undefined;
}

function isHex(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (!isHexDigit(text.charCodeAt(at))) return false;
  return true;
}

function isHexDigit(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66);
}
