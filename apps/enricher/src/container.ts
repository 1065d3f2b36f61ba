import type { ContainerRuntime, RuntimeContainer } from '@netstatd/containers';
import { makeRow, type EventRow } from '@netstatd/events';
import { createHash } from 'node:crypto';
import { boundLabels } from './label-bound.ts';

/**
 * A container: known from the path of its cgroup, or because a runtime describes it, or both. Undefined is what is
 * not known. Its rows are made from it as it is at the time.
 */
export class Container {
  readonly containerUid: string;
  runtime: ContainerRuntime;
  podUid: string | undefined;
  podName: string | undefined = undefined;
  namespace: string | undefined = undefined;
  /** Absent for the sandbox of a pod, too. */
  containerName: string | undefined = undefined;
  name: string | undefined = undefined;
  containerdNamespace: string | undefined = undefined;
  image: string | undefined = undefined;
  /** Its first process, while it runs. */
  pid: number | undefined = undefined;
  podIPs: readonly string[] | undefined = undefined;
  usesHostNetwork: boolean | undefined = undefined;
  labels: Readonly<Record<string, string>> | undefined = undefined;

  /** The newest that a runtime says of it; undefined when none does. */
  record: RuntimeContainer | undefined = undefined;
  /** Its first process, also when that has ended: records of its children may still be read. */
  rootPid: number | undefined = undefined;
  /** Its runtime knows it no more. */
  forgotten = false;
  /** Its cgroup is gone. */
  cgroupGone = false;
  /** There was no room for it any more. */
  evicted = false;
  /** Clients know of it: container.added was sent, and is part of the snapshot. */
  announced = false;
  /** Digest of what container.added said: it is sent again when it would say something else. */
  told = '';
  /** Rows that name it and wait for its description, oldest first; undefined when none may wait. */
  waiting: EventRow[] | undefined = undefined;
  /** Rows have left without its description, and will not wait again. */
  waited = false;
  /** It was counted as described in time or too late. */
  counted = false;
  /** Connections, flows and listeners that name it. */
  sockets = 0;

  constructor(found: {
    readonly containerUid: string;
    readonly runtime: ContainerRuntime;
    readonly podUid?: string;
  }) {
    this.containerUid = found.containerUid;
    this.runtime = found.runtime;
    this.podUid = found.podUid;
  }

  get described(): boolean {
    return this.record !== undefined;
  }

  /** The pause container of a pod: it keeps the pod's namespaces, and no program of the pod runs in it. */
  get sandbox(): boolean {
    return this.record?.sandbox ?? false;
  }

  /**
   * It is deleted with its last socket. One that a runtime knows stays when it has stopped: it can be looked at,
   * and be started again.
   */
  get removed(): boolean {
    if (this.evicted || this.forgotten) return true;
    return this.cgroupGone && this.record === undefined;
  }

  /** Takes what a runtime says of it. Addresses and network are found out elsewhere. */
  describe(record: RuntimeContainer): void {
    this.record = record;
    this.forgotten = false;
    this.evicted = false;
    if (record.runtime !== 'unknown') this.runtime = record.runtime;
    this.podUid = record.podUid ?? this.podUid;
    this.podName = record.podName;
    this.namespace = record.podNamespace;
    this.containerName = record.sandbox ? undefined : record.containerName;
    this.name = record.name;
    this.containerdNamespace = record.containerdNamespace;
    this.image = record.image;
    this.pid = record.state === 'exited' ? undefined : record.pid;
    this.labels = boundLabels(record.labels);
  }

  /** The row of container.added or container.deleted, as it is now. */
  row(type: 'container.added' | 'container.deleted', micros: number): EventRow {
    return makeRow(type, {
      timestamp: micros,
      containerUid: this.containerUid,
      runtime: this.runtime === 'unknown' ? undefined : this.runtime,
      podUid: this.podUid,
      podName: this.podName,
      namespace: this.namespace,
      containerName: this.containerName,
      name: this.name,
      containerdNamespace: this.containerdNamespace,
      image: this.image,
      pid: this.pid,
      podIPs: this.podIPs === undefined ? undefined : [...this.podIPs],
      usesHostNetwork: this.usesHostNetwork,
      labels: this.labels,
    });
  }

  /** A text that differs when container.added would say something else. */
  digest(): string {
    const text = JSON.stringify(this.row('container.added', 0));
    return createHash('sha1').update(text).digest('base64');
  }
}
