import { CriFollower } from './cri-follower.ts';
import type { RuntimeContainer } from './runtime-container.ts';
import { TestContainerd } from '../../testkit/src/containerd.ts';
import { waitFor } from '../../testkit/src/wait.ts';

let containerd: TestContainerd;
beforeAll(async () => {
  containerd = await TestContainerd.start();
}, 60_000);
afterAll(async () => containerd.close(), 60_000);

test('B04 A16 pods of a real CRI server are told, polled, through its end and start', async () => {
  const known = new Map<string, RuntimeContainer>();
  const uid = '0f3b8c1e-52d4-4a0e-9c68-5d1f0a7e2b31';
  const containers = { web: ['sleep', '600'], side: ['sleep', '600'] };
  const early = await containerd.pod({ name: 'early', namespace: 'shop', uid, containers });
  const follower = new CriFollower({
    socket: containerd.socket,
    retryMaxMs: 250,
    pollMs: 200,
    events: {
      container: (container) => known.set(container.id, container),
      removed: (id) => known.delete(id),
    },
  });
  try {
    await waitFor('the list', () => follower.state.synced);
    // containerd 1.6 has no events in CRI, and 1.7 has them for one reader only.
    expect(follower.state.name).toMatch(/^containerd 1\..* \(polled: it tells no events\)$/);
    expect(follower.counters.polled).toBe(1);
    const pod = { podName: 'early', podNamespace: 'shop', podUid: uid };
    const sandbox = known.get(early.sandboxId)!;
    expect(sandbox).toMatchObject({ ...pod, sandbox: true, state: 'running', hostNetwork: false });
    expect(sandbox.pid).toBeGreaterThan(1);
    expect(sandbox.netnsPath).toMatch(/netns/);
    expect(sandbox.podIPs).toEqual([expect.stringMatching(/^10\./)]);
    for (const [containerName, id] of Object.entries(early.containers)) {
      const container = known.get(id)!;
      expect(container).toMatchObject({ ...pod, containerName, name: containerName });
      expect(container).toMatchObject({ sandbox: false, sandboxId: early.sandboxId });
      expect(container).toMatchObject({ podIPs: sandbox.podIPs, state: 'running' });
      expect(container.cgroupsPath).toContain(id);
      expect(container.startedMicros).toBeGreaterThan(container.createdMicros!);
    }
    expect(known.size).toBe(3);

    const host = await containerd.pod({
      name: 'host',
      namespace: 'shop',
      uid: '1f3b8c1e-52d4-4a0e-9c68-5d1f0a7e2b32',
      containers: { agent: ['sleep', '600'] },
      hostNetwork: true,
    });
    expect(await follower.inspect(host.containers.agent!, 2000)).toBe(true);
    expect(known.get(host.containers.agent!)).toMatchObject({
      podName: 'host',
      hostNetwork: true,
      podIPs: [],
      state: 'running',
    });
    expect(await follower.inspect('f'.repeat(64), 2000)).toBe(false);
    await waitFor('the sandbox, too', () => known.size === 5);

    await containerd.kill();
    await waitFor('the loss', () => !follower.state.synced);
    expect(known.size).toBe(5);
    await containerd.start();
    await containerd.api.removePod(early.sandboxId);
    const late = await containerd.pod({ name: 'late', namespace: 'shop', uid, containers });
    await waitFor('the new tables', () => follower.state.synced && known.size === 5);
    await waitFor('the late pod', () => known.get(late.containers.side!)?.state === 'running');
    expect(known.has(early.sandboxId)).toBe(false);
  } finally {
    follower.close();
  }
}, 120_000);
