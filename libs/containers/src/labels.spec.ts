import fc from 'fast-check';
import {
  boundedLabels,
  MAX_LABELS,
  MAX_LABEL_KEY,
  MAX_LABEL_VALUE,
  podOfLabels,
} from './labels.ts';

const pod = {
  'io.kubernetes.pod.name': 'web-1',
  'io.kubernetes.pod.namespace': 'shop',
  'io.kubernetes.pod.uid': '0f3b8c1e-52d4-4a0e-9c68-5d1f0a7e2b31',
};

test('A11 a pod is named wholly or not at all', () => {
  expect(podOfLabels({ ...pod, 'io.kubernetes.container.name': 'nginx' })).toEqual({
    podName: 'web-1',
    podNamespace: 'shop',
    podUid: '0f3b8c1e-52d4-4a0e-9c68-5d1f0a7e2b31',
    containerName: 'nginx',
  });
  for (const key of Object.keys(pod)) {
    expect(podOfLabels({ ...pod, [key]: '', 'io.kubernetes.container.name': 'x' })).toEqual({});
  }
});

test('labels of any kind and length are bounded, and what was cut is said', () => {
  expect(boundedLabels({ a: 'b' })).toEqual({ labels: { a: 'b' }, truncated: false });
  expect(boundedLabels({ a: 'x'.repeat(1 << 20) })).toEqual({
    labels: { a: 'x'.repeat(MAX_LABEL_VALUE) },
    truncated: true,
  });
  expect(boundedLabels({ ['k'.repeat(1000)]: 'b' })).toEqual({ labels: {}, truncated: true });
  const odd: unknown = JSON.parse('{"__proto__": "x", "constructor": "y", "n": 1, "o": {}}');
  expect(Object.entries(boundedLabels(odd).labels)).toEqual([
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ]);
  fc.assert(
    fc.property(fc.anything(), (told) => {
      const { labels } = boundedLabels(told);
      expect(Object.keys(labels).length).toBeLessThanOrEqual(MAX_LABELS);
      for (const [key, value] of Object.entries(labels)) {
        expect(key.length).toBeLessThanOrEqual(MAX_LABEL_KEY);
        expect(value.length).toBeLessThanOrEqual(MAX_LABEL_VALUE + 1);
      }
    }),
  );
});

test('the labels that name the pod are kept however many others there are', () => {
  const many = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`a${n}`, '']));
  const { labels, truncated } = boundedLabels({ ...many, ...pod });
  expect(truncated).toBe(true);
  expect(labels).toMatchObject(pod);
  expect(Object.keys(labels)).toHaveLength(MAX_LABELS);
});
