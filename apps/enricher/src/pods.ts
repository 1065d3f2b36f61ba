import type { Remote } from '@netstatd/events';
import type { Container } from './container.ts';

/** Containers that are looked at together; more that claim the same pod are not taken for its. */
const SIBLINGS_MAX = 256;

/** The containers of a pod, its sandbox among them. */
class Pod {
  readonly containers = new Set<Container>();
  addresses: readonly string[] = [];
  #remote: Remote | undefined;
  readonly #node: string | undefined;

  constructor(node: string | undefined) {
    this.#node = node;
  }

  /** What a connection to one of its addresses has at its other end: one object for all of them. */
  get remote(): Remote {
    return (this.#remote ??= this.#describe());
  }

  changed(): void {
    this.#remote = undefined;
  }

  #describe(): Remote {
    const [named] = where(this.containers, ({ podName }) => podName !== undefined);
    // Which one listens there is known only when there is but one; an exited one does not.
    const candidates = where(
      this.containers,
      ({ sandbox, record }) => !sandbox && record?.state !== 'exited',
    );
    const [only] = candidates;
    return {
      kind: 'pod',
      ...(this.#node !== undefined && { node: this.#node }),
      ...(named?.namespace !== undefined && { namespace: named.namespace }),
      ...(named?.podName !== undefined && { podName: named.podName }),
      ...(only !== undefined && candidates.length === 1 && { containerUid: only.containerUid }),
    };
  }
}

function where<T>(items: Iterable<T>, wanted: (item: T) => boolean): T[] {
  return [...items].filter(wanted);
}

/** The pods of this node by their uids, and by the addresses that only they have. */
export class Pods {
  readonly #node: string | undefined;
  readonly #pods = new Map<string, Pod>();
  readonly #byAddress = new Map<string, Set<Pod>>();

  /** @param node name of this node, as it stands in events */
  constructor(node?: string) {
    this.#node = node;
  }

  get size(): number {
    return this.#pods.size;
  }

  /** A container is known, or is another than before: its pod may be, too. Does nothing for one without a pod. */
  add(container: Container): void {
    const { podUid } = container;
    if (podUid === undefined) return;
    let pod = this.#pods.get(podUid);
    if (pod === undefined) this.#pods.set(podUid, (pod = new Pod(this.#node)));
    if (pod.containers.size < SIBLINGS_MAX) pod.containers.add(container);
    pod.changed();
  }

  remove(container: Container): void {
    const { podUid } = container;
    const pod = podUid === undefined ? undefined : this.#pods.get(podUid);
    if (podUid === undefined || !pod?.containers.delete(container)) return;
    pod.changed();
    if (pod.containers.size > 0) return;
    this.#move(pod, []);
    this.#pods.delete(podUid);
  }

  /** All containers of the pod that one belongs to, its own among them; that one alone when it has no pod. */
  siblings(container: Container): Iterable<Container> {
    const siblings = this.#pods.get(container.podUid ?? '')?.containers;
    return siblings?.has(container) ? siblings : [container];
  }

  /** The addresses that the pod of a container has now: none on the host's network. */
  setAddresses(container: Container, addresses: readonly string[]): void {
    const pod = this.#pods.get(container.podUid ?? '');
    if (pod?.containers.has(container)) this.#move(pod, addresses);
  }

  /** What a remote address is, when exactly one pod has it. */
  remoteOf(ip: string): Remote | undefined {
    const pods = this.#byAddress.get(ip);
    if (pods?.size !== 1) return undefined;
    for (const pod of pods) return pod.remote;
    return undefined;
  }

  #move(pod: Pod, addresses: readonly string[]): void {
    for (const ip of pod.addresses) {
      const pods = this.#byAddress.get(ip);
      pods?.delete(pod);
      if (pods?.size === 0) this.#byAddress.delete(ip);
    }
    pod.addresses = addresses;
    for (const ip of addresses) {
      const pods = this.#byAddress.get(ip) ?? new Set();
      this.#byAddress.set(ip, pods.add(pod));
    }
  }
}
