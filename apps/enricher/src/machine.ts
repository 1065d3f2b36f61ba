import {
  CgroupIndex,
  hasLegacyCgroups,
  hostAddresses,
  parseMountinfo,
  ProcFs,
} from '@netstatd/procfs';
import type { EnricherOptions } from './enricher.ts';
import { Host } from './host.ts';

/** What the enricher looks up beside the records it reads. */
export type MachineParts = Pick<EnricherOptions, 'host' | 'procfs' | 'cgroups' | 'legacyCgroups'>;

/** This machine. */
export function thisMachine(procRoot: string, version: string): MachineParts {
  const procfs = new ProcFs(procRoot);
  return {
    host: new Host({ procfs, addresses: hostAddresses, version }),
    procfs,
    cgroups: new CgroupIndex(),
    legacyCgroups: hasLegacyCgroups(parseMountinfo(procfs.mountinfo())),
  };
}

/** The machine of a recording: all that is known of it are the records. */
export function recordedMachine(version: string): MachineParts {
  const unknown = () => undefined;
  const procfs = { hostNetns: unknown, kernelRelease: unknown, bootId: unknown };
  return {
    host: new Host({ procfs, addresses: () => [], version }),
    procfs: { readProcess: unknown, readCgroups: unknown, addressesOf: () => [] },
    cgroups: new CgroupIndex(null),
    legacyCgroups: false,
  };
}
