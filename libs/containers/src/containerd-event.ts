import { isContainerdName } from './containerd-container.ts';
import { microsOf } from './containerd-time.ts';
import {
  ContainerCreate,
  ContainerDelete,
  ContainerUpdate,
  TaskDelete,
  TaskExit,
  TaskStart,
} from './generated/containerd/event-types.ts';
import type { Envelope } from './generated/containerd/events.ts';

interface About {
  readonly namespace: string;
  readonly id: string;
  /** When, in microseconds since 1970, by containerd's clock. */
  readonly micros: number | undefined;
}

/** A container was made or is described anew; the labels are told only then. */
export interface ContainerDescribed extends About {
  readonly kind: 'described';
  readonly image: string;
  readonly labels: Record<string, string>;
}

/** What an event of containerd says of a container. */
export type ContainerdEvent =
  | ContainerDescribed
  | (About & { readonly kind: 'deleted' })
  | (About & { readonly kind: 'started' | 'exited'; readonly pid: number });

/**
 * Reads an event.
 * @returns undefined for one that changes no container: the end of an exec
 * @throws when it is not what its type says
 */
export function containerdEvent(envelope: Envelope): ContainerdEvent | undefined {
  const { namespace, event } = envelope;
  const micros = microsOf(envelope.timestamp);
  if (event === undefined) throw new Error('an event without contents');
  const about = (id: string) => {
    if (!isContainerdName(namespace) || !isContainerdName(id)) throw new Error('an unusable name');
    return { namespace, id, micros };
  };
  switch (event.typeUrl.slice(event.typeUrl.lastIndexOf('.') + 1)) {
    case 'ContainerCreate': {
      const { id, image } = ContainerCreate.decode(event.value);
      return { kind: 'described', ...about(id), image, labels: {} };
    }
    case 'ContainerUpdate': {
      const { id, image, labels } = ContainerUpdate.decode(event.value);
      return { kind: 'described', ...about(id), image, labels };
    }
    case 'ContainerDelete':
      return { kind: 'deleted', ...about(ContainerDelete.decode(event.value).id) };
    case 'TaskStart': {
      const { containerId, pid } = TaskStart.decode(event.value);
      return { kind: 'started', ...about(containerId), pid };
    }
    case 'TaskExit': {
      const { containerId, id, pid, exitedAt } = TaskExit.decode(event.value);
      return ended({ ...about(containerId), micros: microsOf(exitedAt) ?? micros }, id, pid);
    }
    case 'TaskDelete': {
      const { containerId, id, pid, exitedAt } = TaskDelete.decode(event.value);
      return ended({ ...about(containerId), micros: microsOf(exitedAt) ?? micros }, id, pid);
    }
    default:
      return undefined;
  }
}

/** An exec has an id of its own. */
function ended(about: About, processId: string, pid: number): ContainerdEvent | undefined {
  if (processId !== '' && processId !== about.id) return undefined;
  return { kind: 'exited', ...about, pid };
}
