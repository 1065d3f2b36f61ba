import type { ContainerRuntime } from './cgroup-path.ts';
import type { Described } from './cri-container.ts';
import { boundedLabels, podOfLabels } from './labels.ts';
import type { ListedContainer } from './runtime-api.ts';
import type { RuntimeContainer } from './runtime-container.ts';
import { addressesOf, at, itemsAt, microsOfTime, pidAt, textAt } from './told.ts';

/** Docker and podman choose such ids; nothing else is taken for one. */
const ID = /^[0-9a-f]{64}$/;

export const isDockerId = (id: unknown): id is string => typeof id === 'string' && ID.test(id);

/** What an event of the Engine API is about. */
export interface DockerEvent {
  /** Container whose description may be another now. */
  readonly id: string;
  /** What the event itself tells of it, should it be gone before it is asked for. */
  readonly remembered?: RuntimeContainer;
}

/** Actions after which a container is described as before. */
const idleActions =
  /^(exec_|health_status|top$|resize$|attach$|detach$|copy$|export$|commit$|archive-path$|extract-to-dir$|mount$|unmount$|sync$|checkpoint$|kill$)/;

/** @returns undefined for events that change no container, null for what is no event */
export function readDockerEvent(
  line: string,
  runtime: ContainerRuntime,
): DockerEvent | undefined | null {
  let told: unknown;
  try {
    told = JSON.parse(line);
  } catch {
    return null;
  }
  const type = at(told, 'Type');
  const action = at(told, 'Action');
  if (typeof type !== 'string' || typeof action !== 'string') return null;
  const attributes = at(told, 'Actor', 'Attributes');
  if (type === 'network') {
    // A container joined or left a network: it has other addresses.
    const id = at(attributes, 'container');
    return isDockerId(id) ? { id } : undefined;
  }
  if (type !== 'container' || idleActions.test(action)) return undefined;
  const id = at(told, 'Actor', 'ID');
  if (!isDockerId(id)) return null;
  return { id, remembered: describeFromEvent(id, attributes, runtime) };
}

/** Attributes of an event that are no labels of its container. */
const ownAttributes = [
  'name',
  'image',
  'exitCode',
  'execDuration',
  'signal',
  'containerExitCode',
  'podId',
];

function describeFromEvent(
  id: string,
  attributes: unknown,
  runtime: ContainerRuntime,
): RuntimeContainer {
  const { labels } = boundedLabels(
    Object.fromEntries(
      Object.entries(attributes ?? {}).filter(([key]) => !ownAttributes.includes(key)),
    ),
  );
  const name = textAt(attributes, 'name');
  const image = textAt(attributes, 'image');
  return {
    id,
    runtime,
    ...(name !== undefined && { name }),
    ...(image !== undefined && { image }),
    labels,
    ...podOfLabels(labels),
    ...sandboxOfLabels(labels),
    state: 'exited',
  };
}

/** The entries of a list; how many of them were no containers. */
export function readDockerList(told: unknown): { listed: ListedContainer[]; malformed: number } {
  const listed: ListedContainer[] = [];
  let malformed = Array.isArray(told) ? 0 : 1;
  for (const entry of itemsAt(told)) {
    const id = at(entry, 'Id');
    if (isDockerId(id)) listed.push({ id, state: stateOf(at(entry, 'State')) });
    else malformed++;
  }
  return { listed, malformed };
}

/** What `GET /containers/{id}/json` tells; undefined when it is about another container or about none. */
export function describeDocker(
  told: unknown,
  id: string,
  runtime: ContainerRuntime,
): Described | undefined {
  if (at(told, 'Id') !== id) return undefined;
  const { labels, truncated } = boundedLabels(at(told, 'Config', 'Labels'));
  const state = stateOf(at(told, 'State', 'Status'));
  const name = textAt(told, 'Name')?.replace(/^\//, '');
  const image = textAt(told, 'Config', 'Image') ?? textAt(told, 'Image');
  const mode = textAt(told, 'HostConfig', 'NetworkMode');
  const pid = pidAt(told, 'State', 'Pid');
  const netnsPath = textAt(told, 'NetworkSettings', 'SandboxKey');
  const createdMicros = microsOfTime(at(told, 'Created'));
  const startedMicros = microsOfTime(at(told, 'State', 'StartedAt'));
  const exitedMicros = microsOfTime(at(told, 'State', 'FinishedAt'));
  const own = mode !== undefined && !/^(container:|ns:|host$)/.test(mode);
  const recorded = own ? addresses(told) : [];
  // One that does not run has lost its addresses, which is not the same as having none.
  const podIPs = recorded.length > 0 || (own && state === 'running') ? recorded : undefined;
  const container: RuntimeContainer = {
    id,
    runtime,
    ...(name && { name }),
    ...(image !== undefined && { image }),
    labels,
    ...podOfLabels(labels),
    ...sandboxOfLabels(labels),
    ...(state === 'running' && pid !== undefined && { pid }),
    ...(netnsPath !== undefined && { netnsPath }),
    // "container:<id>" and a path of a namespace may lead to the host's as well.
    ...(mode !== undefined && !/^(container:|ns:)/.test(mode) && { hostNetwork: mode === 'host' }),
    ...(podIPs !== undefined && { podIPs }),
    state,
    ...(createdMicros !== undefined && { createdMicros }),
    ...(startedMicros !== undefined && { startedMicros }),
    ...(state === 'exited' && exitedMicros !== undefined && { exitedMicros }),
  };
  return { container, truncated };
}

function addresses(told: unknown): readonly string[] {
  const settings = at(told, 'NetworkSettings');
  const networks = at(settings, 'Networks');
  const all = typeof networks === 'object' && networks !== null ? Object.values(networks) : [];
  return addressesOf(
    [settings, ...(all as unknown[])].flatMap((network) => [
      at(network, 'IPAddress'),
      at(network, 'GlobalIPv6Address'),
    ]),
  );
}

/** cri-dockerd marks the pause containers of pods, and names the sandbox of the others. */
function sandboxOfLabels(
  labels: Readonly<Record<string, string>>,
): Pick<RuntimeContainer, 'sandbox' | 'sandboxId'> {
  const sandbox = labels['io.kubernetes.docker.type'] === 'podsandbox';
  const sandboxId = labels['io.kubernetes.sandbox.id'];
  return { sandbox, ...(sandboxId && { sandboxId }) };
}

/** Docker's words, and podman's beyond them. */
function stateOf(status: unknown): RuntimeContainer['state'] {
  switch (status) {
    case 'created':
    case 'configured':
    case 'initialized':
      return 'created';
    case 'running':
    case 'paused':
    case 'stopping':
      return 'running';
    // A container that waits for its next start has no process either.
    default:
      return 'exited';
  }
}
