import fc from 'fast-check';
import { containerOfCgroup, type ContainerRuntime, type PodQos } from './cgroup-path.ts';

const A = '8e1f3c5b7a9d2e4f6081a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7';
const B = 'b0c1d2e3f4a5968778695a4b3c2d1e0f0011223344556677889900aabbccddee';
const UID = '0f3b8c1e-52d4-4a0e-9c68-5d1f0a7e2b31';
const UNDER = UID.replaceAll('-', '_');
const UID2 = 'c7a1e9d0-1b2c-4d3e-8f4a-5b6c7d8e9f00';
const STATIC = '9d5b2f0c4c8e7a16350ff2aa01b4c9de';

type Expected = [id: string, runtime: ContainerRuntime, podUid?: string, qos?: PodQos];

const containers: [name: string, path: string, ...Expected][] = [
  ['docker v1 cgroupfs', `/docker/${A}`, A, 'docker'],
  ['docker systemd', `/system.slice/docker-${A}.scope`, A, 'docker'],
  ['docker own slice', `/docker.slice/docker-${A}.scope`, A, 'docker'],
  ['docker, systemd inside', `/docker/${A}/system.slice/nginx.service`, A, 'docker'],
  ['docker, init.scope inside', `/system.slice/docker-${A}.scope/init.scope`, A, 'docker'],
  [
    'docker rootless',
    `/user.slice/user-1000.slice/user@1000.service/user.slice/docker-${A}.scope`,
    A,
    'docker',
  ],
  [
    'docker rootless app',
    `/user.slice/user-1000.slice/user@1000.service/app.slice/docker-${A}.scope`,
    A,
    'docker',
  ],
  ['docker, custom parent', `/actions_job/${A}`, A, 'unknown'],
  ['docker, colons', `/system.slice/docker.service/system.slice:docker:${A}`, A, 'docker'],
  [
    'docker in a buildkit worker',
    `/docker/${A}/docker/buildkit/k9x2m4p7q1r8s5t3u6v0w2y4z`,
    A,
    'docker',
  ],
  ['docker from a namespace', `/../${A}`, A, 'unknown'],
  ['docker scope from a namespace', `/../docker-${A}.scope`, A, 'docker'],
  ['docker in docker', `/docker/${A}/docker/${B}`, B, 'docker'],
  ['docker in docker, systemd', `/system.slice/docker-${A}.scope/docker/${B}`, B, 'docker'],
  ['moby namespace', `/moby/${A}`, A, 'docker'],
  ['ECS task', `/ecs/55091c13-b8cf-4801-b527-f4601742204d/${A}`, A, 'unknown'],
  ['Kubernetes on docker v1', `/kubepods/burstable/pod${UID}/${A}`, A, 'unknown', UID, 'burstable'],
  ['besteffort cgroupfs', `/kubepods/besteffort/pod${UID}/${A}`, A, 'unknown', UID, 'besteffort'],
  ['guaranteed cgroupfs', `/kubepods/pod${UID}/${A}`, A, 'unknown', UID, 'guaranteed'],
  [
    'static pod cgroupfs',
    `/kubepods/burstable/pod${STATIC}/${A}`,
    A,
    'unknown',
    STATIC,
    'burstable',
  ],
  [
    'docker in a pod',
    `/kubepods/burstable/pod${UID}/${A}/docker/${B}`,
    B,
    'docker',
    UID,
    'burstable',
  ],
  [
    'containerd burstable',
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UNDER}.slice/cri-containerd-${A}.scope`,
    A,
    'containerd',
    UID,
    'burstable',
  ],
  [
    'containerd besteffort',
    `/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UNDER}.slice/cri-containerd-${A}.scope`,
    A,
    'containerd',
    UID,
    'besteffort',
  ],
  [
    'containerd guaranteed',
    `/kubepods.slice/kubepods-pod${UNDER}.slice/cri-containerd-${A}.scope`,
    A,
    'containerd',
    UID,
    'guaranteed',
  ],
  [
    'containerd static pod',
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${STATIC}.slice/cri-containerd-${A}.scope`,
    A,
    'containerd',
    STATIC,
    'burstable',
  ],
  [
    'containerd, systemd in the pod',
    `/kubepods.slice/kubepods-pod${UNDER}.slice/cri-containerd-${A}.scope/system.slice/sshd.service`,
    A,
    'containerd',
    UID,
    'guaranteed',
  ],
  [
    'containerd, cgroupfs below the service',
    `/system.slice/containerd.service/kubepods-burstable-pod${UNDER}.slice:cri-containerd:${A}`,
    A,
    'containerd',
    UID,
    'burstable',
  ],
  [
    'containerd, colons at the root',
    `/kubepods-besteffort-pod${UNDER}.slice:cri-containerd:${A}`,
    A,
    'containerd',
    UID,
    'besteffort',
  ],
  [
    'containerd, colons, guaranteed',
    `/system.slice/containerd.service/kubepods-pod${UNDER}.slice:cri-containerd:${A}`,
    A,
    'containerd',
    UID,
    'guaranteed',
  ],
  ['containerd namespace k8s.io', `/k8s.io/${A}`, A, 'containerd'],
  ['nerdctl cgroupfs', `/default/${A}`, A, 'containerd'],
  ['nerdctl systemd', `/system.slice/nerdctl-${A}.scope`, A, 'containerd'],
  [
    'nerdctl rootless',
    `/user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-${A}.scope`,
    A,
    'containerd',
  ],
  ['containerd from a namespace', `/../cri-containerd-${A}.scope`, A, 'containerd'],
  [
    'other pod from a namespace',
    `/../../kubepods-burstable-pod${UNDER}.slice/cri-containerd-${A}.scope`,
    A,
    'containerd',
    UID,
    'burstable',
  ],
  [
    'whole tree from a namespace',
    `/../../../../kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UNDER}.slice/cri-containerd-${A}.scope`,
    A,
    'containerd',
    UID,
    'besteffort',
  ],
  [
    'cgroupfs from a namespace',
    `/../kubepods/besteffort/pod${UID}/${A}`,
    A,
    'unknown',
    UID,
    'besteffort',
  ],
  ['sibling pod from a namespace', `/../../pod${UID}/${A}`, A, 'unknown', UID],
  [
    'CRI-O systemd',
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UNDER}.slice/crio-${A}.scope`,
    A,
    'cri-o',
    UID,
    'burstable',
  ],
  [
    'CRI-O guaranteed',
    `/kubepods.slice/kubepods-pod${UNDER}.slice/crio-${A}.scope`,
    A,
    'cri-o',
    UID,
    'guaranteed',
  ],
  [
    'CRI-O with crun',
    `/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UNDER}.slice/crio-${A}.scope/container`,
    A,
    'cri-o',
    UID,
    'besteffort',
  ],
  ['CRI-O cgroupfs', `/kubepods/besteffort/pod${UID}/crio-${A}`, A, 'cri-o', UID, 'besteffort'],
  ['CRI-O cgroupfs, guaranteed', `/kubepods/pod${UID}/crio-${A}`, A, 'cri-o', UID, 'guaranteed'],
  [
    'CRI-O static pod',
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${STATIC}.slice/crio-${A}.scope`,
    A,
    'cri-o',
    STATIC,
    'burstable',
  ],
  [
    'CRI-O, colons',
    `/system.slice/crio.service/kubepods-besteffort-pod${UNDER}.slice:crio:${A}`,
    A,
    'cri-o',
    UID,
    'besteffort',
  ],
  [
    'cri-dockerd',
    `/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UNDER}.slice/docker-${A}.scope`,
    A,
    'docker',
    UID,
    'besteffort',
  ],
  ['podman root', `/machine.slice/libpod-${A}.scope`, A, 'podman'],
  ['podman with crun', `/machine.slice/libpod-${A}.scope/container`, A, 'podman'],
  [
    'podman, systemd inside',
    `/machine.slice/libpod-${A}.scope/container/system.slice/httpd.service`,
    A,
    'podman',
  ],
  [
    'podman rootless',
    `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${A}.scope/container`,
    A,
    'podman',
  ],
  [
    'podman rootless, no session',
    `/user.slice/user-0.slice/session-3.scope/libpod-${A}.scope`,
    A,
    'podman',
  ],
  ['podman pod', `/machine.slice/machine-libpod_pod_${B}.slice/libpod-${A}.scope`, A, 'podman'],
  ['podman quadlet', `/system.slice/web.service/libpod-payload-${A}`, A, 'podman'],
  ['podman cgroupfs', `/libpod_parent/libpod-${A}`, A, 'podman'],
  ['podman cgroupfs pod', `/libpod_parent/${B}/libpod-${A}`, A, 'podman'],
  ['docker in podman', `/machine.slice/libpod-${A}.scope/container/docker/${B}`, B, 'docker'],
  [
    'k3s',
    `/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UNDER}.slice/cri-containerd-${A}.scope`,
    A,
    'containerd',
    UID,
    'besteffort',
  ],
  [
    'k3s in docker (k3d)',
    `/docker/${B}/kubepods/burstable/pod${UID}/${A}`,
    A,
    'unknown',
    UID,
    'burstable',
  ],
  [
    'k3s rootless',
    `/user.slice/user-1000.slice/user@1000.service/k3s-rootless.service/kubepods/besteffort/pod${UID}/${A}`,
    A,
    'unknown',
    UID,
    'besteffort',
  ],
  ['k0s', `/kubepods/burstable/pod${UID}/${A}`, A, 'unknown', UID, 'burstable'],
  [
    'k0s below its service',
    `/system.slice/k0sworker.service/kubepods/pod${UID}/${A}`,
    A,
    'unknown',
    UID,
    'guaranteed',
  ],
  [
    'microk8s',
    `/snap.microk8s.daemon-containerd.service/kubepods/besteffort/pod${UID}/${A}`,
    A,
    'unknown',
    UID,
    'besteffort',
  ],
  [
    'kind v1',
    `/docker/${B}/kubelet/kubepods/besteffort/pod${UID}/${A}`,
    A,
    'unknown',
    UID,
    'besteffort',
  ],
  [
    'kind v1, doubled',
    `/docker/${B}/docker/${B}/kubelet/kubepods/pod${UID}/${A}`,
    A,
    'unknown',
    UID,
    'guaranteed',
  ],
  [
    'kind v2',
    `/system.slice/docker-${B}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod${UNDER}.slice/cri-containerd-${A}.scope`,
    A,
    'containerd',
    UID,
    'burstable',
  ],
  [
    'kind guaranteed',
    `/docker/${B}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${UNDER}.slice/cri-containerd-${A}.scope`,
    A,
    'containerd',
    UID,
    'guaranteed',
  ],
  [
    'kind, seen inside',
    `/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${UNDER}.slice/cri-containerd-${A}.scope`,
    A,
    'containerd',
    UID,
    'besteffort',
  ],
  [
    'a service of a kind node',
    `/system.slice/docker-${B}.scope/system.slice/containerd.service`,
    B,
    'docker',
  ],
  [
    'kind in a pod',
    `/kubepods/burstable/pod${UID2}/${B}/kubelet/kubepods/besteffort/pod${UID}/${A}`,
    A,
    'unknown',
    UID,
    'besteffort',
  ],
  [
    'CRI-O monitor in a kind node',
    `/docker/${B}/kubepods.slice/kubepods-pod${UNDER}.slice/crio-conmon-${A}.scope`,
    B,
    'docker',
  ],
  [
    'minikube docker driver',
    `/docker/${B}/kubepods/burstable/pod${UID}/${A}`,
    A,
    'unknown',
    UID,
    'burstable',
  ],
  [
    'OpenShift',
    `/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UNDER}.slice/crio-${A}.scope`,
    A,
    'cri-o',
    UID,
    'besteffort',
  ],
  ['docker in lxc', `/lxc/web/docker/${A}`, A, 'docker'],
  ['docker in lxc v2', `/lxc.payload.web/system.slice/docker-${A}.scope`, A, 'docker'],
  [
    'Kubernetes in LXD',
    `/lxc.payload.k8s/kubepods/burstable/pod${UID}/${A}`,
    A,
    'unknown',
    UID,
    'burstable',
  ],
  ['a runtime we do not know', `/system.slice/newrt-${A}.scope`, A, 'unknown'],
  ['cut within the pod', `_${UNDER.slice(9)}.slice/cri-containerd-${A}.scope`, A, 'containerd'],
  [
    'cut within the class',
    `urstable-pod${UNDER}.slice/cri-containerd-${A}.scope`,
    A,
    'containerd',
    UID,
  ],
  ['no leading slash', `kubepods/besteffort/pod${UID}/${A}`, A, 'unknown', UID, 'besteffort'],
];

const others: [name: string, path: string][] = [
  ['the root', '/'],
  ['nothing', ''],
  ['init', '/init.scope'],
  ['a service', '/system.slice/sshd.service'],
  ['containerd itself', '/system.slice/containerd.service'],
  ['docker itself', '/system.slice/docker.service'],
  ['kubelet', '/system.slice/kubelet.service'],
  ['kubelet on Talos', '/podruntime/kubelet'],
  ['containerd on Bottlerocket', '/runtime.slice/containerd.service'],
  ['a session', '/user.slice/user-1000.slice/session-2.scope'],
  [
    'a desktop application',
    '/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-x-4242.scope',
  ],
  ['CRI-O monitor', `/kubepods.slice/kubepods-pod${UNDER}.slice/crio-conmon-${A}.scope`],
  ['CRI-O monitor, cgroupfs', `/kubepods/besteffort/pod${UID}/crio-conmon-${A}`],
  ['CRI-O monitor, system slice', `/system.slice/crio-conmon-${A}.scope`],
  ['podman monitor', `/machine.slice/libpod-conmon-${A}.scope`],
  ['podman monitor, cgroupfs', '/libpod_parent/conmon'],
  ['podman monitor of a pod', `/libpod_parent/${A}/conmon`],
  ['podman monitor of a quadlet', '/system.slice/web.service/supervisor'],
  ['podman pod slice', `/machine.slice/machine-libpod_pod_${A}.slice`],
  ['kata hypervisor', `/kubepods/burstable/pod${UID}/kata_${A}`],
  ['pod without container', `/kubepods/burstable/pod${UID}`],
  [
    'pod slice without container',
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UNDER}.slice`,
  ],
  ['virtual machine', '/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator'],
  ['nspawn', '/machine.slice/systemd-nspawn@web.service/payload'],
  ['lxc', '/lxc/web'],
  ['lxc named like an id', `/lxc/${A}`],
  ['lxc v2', '/lxc.payload.web/init.scope'],
  ['lxc monitor', '/lxc.monitor.web'],
  ['63 digits', `/docker/${A.slice(1)}`],
  ['65 digits', `/docker/a${A}`],
  ['upper case', `/docker/${A.toUpperCase()}`],
  ['an id that is no scope', `/system.slice/backup-${A}`],
  ['an id of a service', `/system.slice/docker-${A}.service`],
  ['beyond the longest path', `${'/x'.repeat(2100)}/docker/${A}`],
];

test('the table is wide enough', () =>
  expect(containers.length + others.length).toBeGreaterThan(60));

test.each(containers)('A13 %s', (_, path, ...expected) => {
  const [containerUid, runtime, podUid, qos] = expected;
  expect(containerOfCgroup(path)).toEqual({
    containerUid,
    runtime,
    ...(podUid !== undefined && { podUid }),
    ...(qos !== undefined && { qos }),
  });
});

test.each(others)('A13 no container: %s', (_, path) => {
  expect(containerOfCgroup(path)).toBeUndefined();
});

test('A13 any path gives a well-formed container or none', () => {
  const piece = fc.constantFrom(
    ...['/', '-', ':', '.scope', '.slice', 'pod', '-pod', 'kubepods', 'docker', '..', '_', 'a'],
    ...[A, UID, UNDER, STATIC, 'crio-conmon-', 'libpod-'],
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const found = containerOfCgroup(pieces.join(''));
      if (found === undefined) return;
      expect(found.containerUid).toMatch(/^[0-9a-f]{64}$/);
      if (found.podUid !== undefined) {
        expect(found.podUid).toMatch(/^([0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/);
      }
    }),
    { numRuns: 2000 },
  );
  fc.assert(fc.property(fc.string(), (text) => void containerOfCgroup(text)));
});
