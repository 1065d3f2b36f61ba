/** One mount of /proc/<pid>/mountinfo, proc_pid_mountinfo(5). */
export interface Mount {
  /** Path within the filesystem that is the root of this mount. */
  readonly root: string;
  readonly mountPoint: string;
  readonly filesystem: string;
}

/** Parses mountinfo; lines of another form are left out. Spaces and the like come as octal escapes (`\040`). */
export function parseMountinfo(text: string): readonly Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const [head, tail] = splitOnce(line, ' - ');
    const fields = head.split(' ');
    const root = fields[3];
    const mountPoint = fields[4];
    const filesystem = tail.split(' ', 1)[0];
    if (root === undefined || mountPoint === undefined || !filesystem) continue;
    mounts.push({ root: unescape(root), mountPoint: unescape(mountPoint), filesystem });
  }
  return mounts;
}

/** Where the unified (v2) cgroup hierarchy is mounted: /sys/fs/cgroup, or …/unified on hybrid nodes. */
export function unifiedCgroupMount(mounts: readonly Mount[]): string | undefined {
  return mounts.find(({ filesystem }) => filesystem === 'cgroup2')?.mountPoint;
}

/** Whether hierarchies of the first version are in use: there, the unified one may not tell the container. */
export function hasLegacyCgroups(mounts: readonly Mount[]): boolean {
  return mounts.some(({ filesystem }) => filesystem === 'cgroup');
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)];
}

function unescape(field: string): string {
  return field.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8)),
  );
}
