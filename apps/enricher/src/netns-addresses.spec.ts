import { Host } from './host.ts';
import { NetnsAddresses } from './netns-addresses.ts';
import { Process } from './process.ts';

const HOST_NETNS = 1;
const POD_NETNS = 2;

/** One process in a namespace of its own, and a host. */
function machine() {
  const lives = { netns: POD_NETNS, startTicks: 100 };
  let reads = 0;
  const procfs = {
    readCgroups: () => undefined,
    readProcess: () => ({ ...lives, pid: 42, ppid: 1, comm: 'x', exe: '/x', cgroupPaths: [] }),
    addressesOf: () => {
      reads++;
      return ['10.0.0.7', 'fd00::7'];
    },
  };
  const host = new Host({
    procfs: {
      hostNetns: () => HOST_NETNS,
      kernelRelease: () => undefined,
      bootId: () => undefined,
    },
    addresses: () => ['192.168.1.2', '2001:db8::2'],
    version: '1',
  });
  return { lives, addresses: new NetnsAddresses(procfs, host), reads: () => reads };
}

const process = () => new Process(42, 1e9);

it('gives the addresses of the same family, of the host or of the namespace', () => {
  const { addresses, reads } = machine();
  expect(addresses.behind('0.0.0.0', HOST_NETNS, undefined)).toEqual(['192.168.1.2']);
  expect(addresses.behind('::', HOST_NETNS, undefined)).toEqual(['2001:db8::2']);
  expect(addresses.behind('0.0.0.0', POD_NETNS, process())).toEqual(['10.0.0.7']);
  expect(addresses.behind('::', POD_NETNS, process())).toEqual(['fd00::7']);
  expect(reads()).toBe(1);
});

it('has nothing to say of an address that is one, or of a namespace that nobody is known to live in', () => {
  const { addresses } = machine();
  expect(addresses.behind('10.0.0.7', POD_NETNS, process())).toBeUndefined();
  expect(addresses.behind('0.0.0.0', undefined, process())).toBeUndefined();
  expect(addresses.behind('0.0.0.0', POD_NETNS, undefined)).toBeUndefined();
});

it.each([
  ['was given again', { startTicks: 101 }],
  ['is in another namespace', { netns: 3 }],
])('takes nothing from a pid that %s', (_, change) => {
  const { addresses, lives } = machine();
  Object.assign(lives, change);
  expect(addresses.behind('0.0.0.0', POD_NETNS, process())).toBeUndefined();
});
