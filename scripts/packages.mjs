/**
 * What netstatd needs of the system: for which goal and why, how its presence is seen (one of some
 * programs, or a file), and the Debian packages that bring it, the first that the system knows.
 */
const clangs = Array.from({ length: 12 }, (_, i) => `clang-${25 - i}`);

const forStart = [
  {
    why: 'builds the kernel programs',
    programs: [...clangs, 'clang'],
    debian: ['clang-16', 'clang'],
  },
  { why: 'loads the kernel programs', file: '/usr/include/bpf/libbpf.h', debian: ['libbpf-dev'] },
  { why: 'is used by libbpf', file: '/usr/include/libelf.h', debian: ['libelf-dev'] },
  { why: 'is used by libbpf', file: '/usr/include/zlib.h', debian: ['zlib1g-dev'] },
  { why: 'builds the native addon', programs: ['gcc'], debian: ['gcc'] },
  { why: 'is for the native addon', file: '/usr/include/stdio.h', debian: ['libc6-dev'] },
  { why: 'builds both', programs: ['make'], debian: ['make'] },
  { why: 'is the bus', programs: ['nats-server'], debian: ['nats-server'] },
  { why: 'ends what was started', programs: ['setpriv'], debian: ['util-linux'] },
];

const bpftool = {
  why: 'shows kernel programs',
  programs: ['bpftool'],
  debian: ['bpftool'],
};

const forTest = [
  { why: 'makes network namespaces', programs: ['ip'], debian: ['iproute2'] },
  { why: 'drops and refuses packets', programs: ['nft'], debian: ['nftables'] },
  { why: 'reads the JSON log as users do', programs: ['jq'], debian: ['jq'] },
  { why: 'opens the page', programs: ['chromium'], debian: ['chromium'] },
  { why: 'runs containers', programs: ['containerd'], debian: ['containerd'] },
  { why: 'runs containers', programs: ['runc'], debian: ['runc'] },
  { why: 'is what containers run', file: '/bin/busybox', debian: ['busybox-static'] },
  {
    why: 'gives pods their network',
    file: '/usr/lib/cni/bridge',
    debian: ['containernetworking-plugins'],
  },
  { why: 'makes services of pods', programs: ['iptables'], debian: ['iptables'] },
  {
    why: 'makes the stubs of containerd and CRI',
    programs: ['protoc'],
    debian: ['protobuf-compiler'],
  },
  { why: 'speaks the API of Docker', programs: ['podman'], debian: ['podman'] },
];

/** Machines in software emulation, with kernels other than the one that runs. */
const forKernels = [
  {
    why: 'runs other kernels',
    programs: ['qemu-system-x86_64'],
    debian: ['qemu-system-x86'],
  },
  {
    why: 'runs other kernels on another processor',
    programs: ['qemu-system-aarch64'],
    debian: ['qemu-system-arm'],
  },
];

const goals = {
  start: forStart,
  soak: [...forStart, bpftool],
  kernels: [...forStart, bpftool, ...forKernels],
  test: [...forStart, bpftool, ...forTest, ...forKernels],
};

/** @param {'start' | 'soak' | 'kernels' | 'test'} goal */
export const packagesFor = (goal) => goals[goal];
