import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeContainer, isContainerdName, type Complaint } from './containerd-container.ts';
import { MAX_JSON_BYTES } from './containerd-metadata.ts';
import { microsOf } from './containerd-time.ts';
import { Container } from './generated/containerd/containers.ts';
import { MAX_LABELS, MAX_LABEL_KEY, MAX_LABEL_VALUE } from './labels.ts';

/** An object as `ctr container info` printed it. */
function recorded(name: string): Container {
  const file = join(__dirname, 'fixtures', 'containerd', `container-${name}.json`);
  const told = JSON.parse(readFileSync(file, 'utf8')) as {
    ID: string;
    Labels: Record<string, string>;
    Image: string;
    Spec: object;
    Extensions: Record<string, { type_url: string; value: string }>;
  };
  return {
    id: told.ID,
    labels: told.Labels,
    image: told.Image,
    runtime: { name: 'io.containerd.runc.v2' },
    spec: { typeUrl: 'spec', value: Buffer.from(JSON.stringify(told.Spec)) },
    createdAt: { seconds: 1_795_167_005n, nanos: 888_176_093 },
    extensions: Object.fromEntries(
      Object.entries(told.Extensions).map(([key, { type_url, value }]) => [
        key,
        { typeUrl: type_url, value: Buffer.from(value, 'base64') },
      ]),
    ),
  };
}

function described(container: Container) {
  const complaints: Complaint[] = [];
  const made = describeContainer('k8s.io', container, (each) => complaints.push(each));
  return { made, complaints };
}

const POD = {
  podName: 'fix-1',
  podNamespace: 'shop',
  podUid: 'abcdef01-1111-2222-3333-444444444444',
};
const SANDBOX = 'a38b389fb7be5768061e23b1e80fdbf76dc28cbb3c93d0d195ae0583d855125f';
const WEB = 'b3343564ae3704a4fee6c4a54c9797d4cb507f2d4f3938c04bb48ad061049af9';
const json = (value: unknown) => ({ typeUrl: '', value: Buffer.from(JSON.stringify(value)) });
const bare: Container = {
  id: 'c1',
  labels: {},
  image: '',
  runtime: undefined,
  spec: undefined,
  createdAt: undefined,
  extensions: {},
};

test('A10 a sandbox as containerd recorded it', () => {
  const { made, complaints } = described(recorded('a38b389fb7be'));
  expect(complaints).toEqual([]);
  expect(made).toMatchObject({
    ...POD,
    id: SANDBOX,
    runtime: 'containerd',
    containerdNamespace: 'k8s.io',
    sandbox: true,
    sandboxId: SANDBOX,
    netnsPath: '/var/run/netns/cni-d50f89c3-fde1-af73-aa81-56934412473a',
    podIPs: ['10.244.1.34'],
    hostNetwork: false,
    cgroupsPath: `/kubepods/burstable/pod${POD.podUid}/${SANDBOX}`,
    createdMicros: 1_795_167_005_888_176,
  });
  expect(made).not.toHaveProperty('containerName');
});

test('A10 a container of a pod as containerd recorded it', () => {
  const { made, complaints } = described(recorded('b3343564ae37'));
  expect(complaints).toEqual([]);
  expect(made).toMatchObject({
    ...POD,
    id: WEB,
    name: 'web',
    containerName: 'web',
    sandbox: false,
    sandboxId: SANDBOX,
    image: 'localhost/plat/busybox:1',
    netnsPath: '/proc/15455/ns/net',
  });
  // Whether the network of another process is the host's is known of the sandbox only.
  expect(made).not.toHaveProperty('hostNetwork');
  expect(made).not.toHaveProperty('podIPs');
});

test('A10 pods are named by the records of CRI where labels do not', () => {
  const { made } = described({ ...recorded('a38b389fb7be'), labels: {} });
  expect(made).toMatchObject({ ...POD, sandbox: true });
});

test.each([
  [[{ type: 'mount' }], true],
  [[{ type: 'network' }], false],
  [[{ type: 'network', path: '/run/netns/x' }], false],
  [[{ type: 'network', path: '/proc/1/ns/net' }], true],
  [[{ type: 'network', path: '/proc/77/ns/net' }], undefined],
  [undefined, undefined],
  ['none', undefined],
])('A61 the network namespaces %j of a spec: the host network is %s', (namespaces, expected) => {
  const { made } = described({ ...bare, spec: json({ linux: { namespaces } }) });
  expect(made.hostNetwork).toBe(expected);
});

test('A61 a pod that asks for the network of the node', () => {
  const options = { security_context: { namespace_options: { network: 2 } } };
  const metadata = json({ Metadata: { Config: { linux: options }, IP: '192.0.2.1' } });
  const { made } = described({
    ...bare,
    extensions: { 'io.cri-containerd.sandbox.metadata': metadata },
  });
  expect(made.hostNetwork).toBe(true);
});

test('A16 addresses of both families in the one text form; what is none is left out', () => {
  const extension = { IP: '10.0.0.7', AdditionalIPs: ['FD00:0:0::7', '::ffff:10.0.0.7', 'x', 7] };
  const { made } = described({
    ...bare,
    extensions: { 'io.cri-containerd.sandbox.metadata': json({ Metadata: extension }) },
  });
  expect(made.podIPs).toEqual(['10.0.0.7', 'fd00::7']);
});

test('D14 nerdctl names its containers by a label', () => {
  expect(described({ ...bare, labels: { 'nerdctl/name': 'db' } }).made.name).toBe('db');
});

test('D05 JSON that is too large, no JSON, or deep as a well is left out and counted', () => {
  const value = (bytes: Buffer) => ({ typeUrl: '', value: bytes });
  const at = (spec: Buffer) => described({ ...bare, spec: value(spec) });
  expect(at(Buffer.alloc(MAX_JSON_BYTES + 1, ' ')).complaints).toEqual(['oversized']);
  expect(at(Buffer.from('{"linux"')).complaints).toEqual(['malformed']);
  expect(at(Buffer.from('7')).complaints).toEqual(['malformed']);
  expect(at(Buffer.from('['.repeat(500_000))).complaints).toEqual(['malformed']);
  expect(at(Buffer.from(`${'['.repeat(400_000)}${']'.repeat(400_000)}`)).made.id).toBe('c1');
  expect(described({ ...bare, labels: { key: 'x'.repeat(1 << 20) } }).complaints).toEqual([
    'truncatedLabels',
  ]);
});

test('D05 whatever labels, specs and extensions hold, the description is in bounds', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('io.kubernetes.pod.name', '__proto__', 'io.cri-containerd.kind', 'sandbox'),
    fc.integer({ min: 1000, max: 5000 }).map((length) => 'x'.repeat(length)),
  );
  const known = fc.record(
    {
      linux: fc.record({ cgroupsPath: fc.anything(), namespaces: fc.anything() }),
      annotations: fc.anything(),
      Metadata: fc.record({
        IP: fc.anything(),
        AdditionalIPs: fc.anything(),
        NetNSPath: fc.anything(),
        SandboxID: fc.anything(),
        Config: fc.record({ metadata: fc.anything(), linux: fc.anything() }),
      }),
    },
    { requiredKeys: [] },
  );
  const value = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.oneof(known, fc.jsonValue()).map((each) => {
      try {
        return Buffer.from(JSON.stringify([each]).slice(1, -1));
      } catch {
        return Buffer.from('{');
      }
    }),
  );
  const any = fc.record({ typeUrl: fc.string(), value });
  const key = fc.constantFrom(
    'io.cri-containerd.sandbox.metadata',
    'io.cri-containerd.container.metadata',
    '__proto__',
    'other',
  );
  const container = fc.record({
    id: fc.string(),
    labels: fc.dictionary(text, text, { maxKeys: 200 }),
    image: text,
    runtime: fc.constant(undefined),
    spec: fc.option(any, { nil: undefined }),
    createdAt: fc.option(
      fc.record({
        seconds: fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
        nanos: fc.integer(),
      }),
      { nil: undefined },
    ),
    extensions: fc.dictionary(key, any),
  });
  fc.assert(
    fc.property(container, (told) => {
      const { made } = described(Container.decode(Container.encode(told).finish()));
      const labels = Object.entries(made.labels);
      expect(labels.length).toBeLessThanOrEqual(MAX_LABELS);
      for (const [name, label] of labels) {
        expect(name.length).toBeLessThanOrEqual(MAX_LABEL_KEY);
        expect(label.length).toBeLessThanOrEqual(MAX_LABEL_VALUE);
      }
      for (const each of Object.values(made)) expect(each).not.toBeUndefined();
      for (const ip of made.podIPs ?? []) expect(ip).toMatch(/^[0-9a-f:.]+$/);
      expect(JSON.stringify(made).length).toBeLessThan(1_000_000);
    }),
  );
});

test('D05 ids need not be hexadecimal, but names', () => {
  expect(isContainerdName('my-container_1.x')).toBe(true);
  expect(isContainerdName('a'.repeat(256))).toBe(true);
  for (const id of ['', 'a'.repeat(257), 'a/b', '../x', 'a\nb', '-x', 'ä'])
    expect(isContainerdName(id)).toBe(false);
});

test('A10 no time is none, and so is the year 1', () => {
  expect(microsOf(undefined)).toBeUndefined();
  expect(microsOf({ seconds: -62_135_596_800n, nanos: 0 })).toBeUndefined();
  expect(microsOf({ seconds: 1n << 62n, nanos: 0 })).toBeUndefined();
  expect(microsOf({ seconds: 1n, nanos: 1_999 })).toBe(1_000_001);
});
