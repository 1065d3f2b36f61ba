import type { Hook } from './addon.ts';

/** What each kind of capture hangs on: programs in order of preference. */
const kinds: Record<string, string[]> = {
  tcp: ['tcp_state'],
  accept: ['tcp_accept4', 'tcp_accept'],
  uringAccept: ['tcp_accept_ring'],
  listen: ['tcp_state', 'tcp_listen_exit'],
  failedConnect: ['tcp_connect_exit'],
  udp: ['udp_egress', 'udp_ingress'],
  processes: ['process_executed'],
  cgroups: ['cgroup_made'],
  snapshot: ['snapshot_files'],
};

/**
 * The hook that each kind of event comes from: sections of what is attached or stands in for it, else the state of the
 * first, with its reason.
 */
export function captureKinds(hooks: Readonly<Record<string, Hook>>): Record<string, string> {
  const inUse = (name: string) => {
    const hook = hooks[name]?.standIn === undefined ? hooks[name] : hooks[hooks[name].standIn];
    return hook?.state === 'attached' ? [hook.section] : [];
  };
  return Object.fromEntries(
    Object.entries(kinds).map(([kind, names]) => {
      const sections = new Set(names.flatMap(inUse));
      return [kind, sections.size > 0 ? [...sections].join(' ') : absence(hooks[names[0] ?? ''])];
    }),
  );
}

function absence(hook: Hook | undefined): string {
  const { state = 'unsupported', reason } = hook ?? {};
  return reason === undefined ? state : `${state}: ${reason}`;
}
