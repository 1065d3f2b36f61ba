/** Hierarchies in the order in which their paths are trusted to tell the container, best first. */
const PREFERRED_CONTROLLERS = ['', 'name=systemd', 'memory', 'pids', 'cpu,cpuacct', 'devices'];

/**
 * The cgroup paths of a process from the text of /proc/<pid>/cgroup (cgroups(7)): each different path once, the
 * unified hierarchy's first, then systemd's, then the others. The root ("/") tells nothing and is left out, as are
 * lines of another form. On a node with cgroup v1 the unified path may name a service while v1's name the container.
 */
export function parseCgroupFile(text: string): readonly string[] {
  const found: { rank: number; path: string }[] = [];
  for (const line of text.split('\n')) {
    const first = line.indexOf(':');
    const second = line.indexOf(':', first + 1);
    if (first < 1 || second < 0) continue;
    const path = withoutDeleted(line.slice(second + 1));
    if (!path.startsWith('/') || path === '/') continue;
    const rank = PREFERRED_CONTROLLERS.indexOf(line.slice(first + 1, second));
    if (found.some((one) => one.path === path)) continue;
    found.push({ rank: rank < 0 ? PREFERRED_CONTROLLERS.length : rank, path });
  }
  return found.sort((a, b) => a.rank - b.rank).map(({ path }) => path);
}

/** The path in the unified hierarchy alone, from the same text; "/" for its root. */
export function unifiedCgroup(text: string): string | undefined {
  const path = /^0::(\/.*)$/m.exec(text)?.[1];
  return path === undefined ? undefined : withoutDeleted(path);
}

/** The kernel marks the path of a cgroup that was removed under a process that is still ending. */
function withoutDeleted(path: string): string {
  return path.endsWith(' (deleted)') ? path.slice(0, -' (deleted)'.length) : path;
}
