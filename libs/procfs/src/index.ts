export { CgroupIndex } from './cgroup-index.ts';
export { parseCgroupFile } from './cgroup-file.ts';
export { hostAddresses } from './host-addresses.ts';
export { hasLegacyCgroups, parseMountinfo, unifiedCgroupMount, type Mount } from './mountinfo.ts';
export { ProcFs, type ProcessInfo } from './procfs.ts';
export { parseStat, type ProcessStat } from './stat.ts';
