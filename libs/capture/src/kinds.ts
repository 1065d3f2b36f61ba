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

/** The hook that each kind of event comes from: sections of what is attached, else why nothing is. */
export function captureKinds(hooks: Readonly<Record<string, Hook>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(kinds).map(([kind, names]) => {
      const wanted = names.map((name) => hooks[name]);
      const attached = wanted.filter((hook) => hook?.state === 'attached');
      const sections = attached.map((hook) => hook?.section);
      return [kind, sections.length > 0 ? sections.join(' ') : (wanted[0]?.state ?? 'unsupported')];
    }),
  );
}
