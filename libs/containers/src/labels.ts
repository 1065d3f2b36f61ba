import type { RuntimeContainer } from './runtime-container.ts';

/** Labels come from whoever made the container: so many of them are kept, so long, and no more. */
export const MAX_LABELS = 128;
export const MAX_LABEL_KEY = 317;
export const MAX_LABEL_VALUE = 1024;
/** Names of containers, images and the like: longer ones are cut. */
export const MAX_TEXT = 1024;

/** Labels in bounds: long values are cut, labels with long keys and those beyond the number are left out. */
export interface BoundedLabels {
  readonly labels: Readonly<Record<string, string>>;
  /** Whether anything was cut or left out. */
  readonly truncated: boolean;
}

/** Labels of pods come first into the bound, as it is they that name the pod. */
const isPodLabel = (key: string) => key.startsWith('io.kubernetes.');

/** Takes what a runtime told, of any type, and keeps the texts in it. */
export function boundedLabels(told: unknown): BoundedLabels {
  if (typeof told !== 'object' || told === null) return { labels: {}, truncated: false };
  const all = Object.entries(told);
  const kept: [string, string][] = [];
  let truncated = false;
  for (const podLabels of [true, false]) {
    for (const [key, value] of all) {
      if (isPodLabel(key) !== podLabels) continue;
      if (typeof value !== 'string') continue;
      if (key.length > MAX_LABEL_KEY || kept.length === MAX_LABELS) {
        truncated = true;
        continue;
      }
      if (value.length > MAX_LABEL_VALUE) truncated = true;
      kept.push([key, cut(value, MAX_LABEL_VALUE)]);
    }
  }
  // fromEntries makes own properties, so that a label "__proto__" is a label.
  return { labels: Object.fromEntries(kept), truncated };
}

/** The pod and the container's name in it, from the labels that kubelet and cri-dockerd set; nothing for others. */
export function podOfLabels(
  labels: Readonly<Record<string, string>>,
): Pick<RuntimeContainer, 'podName' | 'podNamespace' | 'podUid' | 'containerName'> {
  const podName = labels['io.kubernetes.pod.name'];
  const podNamespace = labels['io.kubernetes.pod.namespace'];
  const podUid = labels['io.kubernetes.pod.uid'];
  const containerName = labels['io.kubernetes.container.name'];
  if (!podName || !podNamespace || !podUid) return {};
  return { podName, podNamespace, podUid, ...(containerName && { containerName }) };
}

/** A text of at most `length` UTF-16 units; the copy does not keep a longer one alive. */
export function cut(text: string, length = MAX_TEXT): string {
  return text.length <= length ? text : Buffer.from(text.slice(0, length)).toString();
}
