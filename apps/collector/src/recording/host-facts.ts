import { hostAddresses, type CgroupIndex, type ProcFs } from '@netstatd/procfs';
import { CgroupKind, encodeCgroup, encodeHost, RecordFlag } from '@netstatd/records';

/** Addresses told of; more do not fit in a record. */
const ADDRESSES_MAX = 500;

/**
 * What the enricher looks up on the machine itself and cannot when a recording is played on another: records of the
 * host and of every cgroup, to precede a snapshot.
 */
export function hostFacts(
  procfs: ProcFs,
  cgroups: CgroupIndex,
  capture: Record<string, string>,
): Uint8Array[] {
  const head = { timeNs: Number(process.hrtime.bigint()), flags: RecordFlag.SNAPSHOT };
  const facts = {
    hostIPs: hostAddresses().slice(0, ADDRESSES_MAX),
    hostNetNS: procfs.hostNetns(),
    kernel: procfs.kernelRelease(),
    bootId: procfs.bootId(),
    capture,
  };
  return [
    encodeHost(head, JSON.stringify(facts)),
    ...[...cgroups.entries()]
      // A path that does not fit would be cut at its end, where the container is named.
      .filter(([, path]) => Buffer.byteLength(path) < 256)
      .map(([cgroupId, path]) =>
        encodeCgroup({ ...head, kind: CgroupKind.MADE }, { cgroupId, path }),
      ),
  ];
}
