export { CgroupIndex } from './cgroup-index.ts';
export { parseCgroupFile } from './cgroup-file.ts';
export { hostAddresses } from './host-addresses.ts';
export { hasLegacyCgroups, parseMountinfo, unifiedCgroupMount, type Mount } from './mountinfo.ts';
export {
  isLoopback,
  netTables,
  parseNetEnd,
  parseNetLine,
  type NetEnd,
  type NetRow,
  type NetTable,
} from './net-table.ts';
export { addressText, type NetnsAddresses } from './netns-addresses.ts';
export { ProcFs, type ProcessInfo } from './procfs.ts';
export { parseStat, type ProcessStat } from './stat.ts';
export { PROCFS_MISSES } from './misses.ts';
