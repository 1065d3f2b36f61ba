import { printable } from '@netstatd/events';
import type { ProbedHook } from './probe.ts';
import type { HookReport } from './report.ts';

/** What is known by the programs whose names begin so; the first match counts. */
const purposes: readonly (readonly [prefix: string, gives: string])[] = [
  ['tcp_accept_ring', 'owners of connections accepted through io_uring'],
  ['tcp_accept', 'owners of accepted connections'],
  ['tcp_connect', 'connects that fail before a packet leaves'],
  ['tcp_listen', 'ports that listen() chooses'],
  ['tcp_state_nested', 'TCP transitions within others'],
  ['tcp_destroyed', 'ends of TCP connections that were missed'],
  ['tcp_state', 'TCP connections and ports'],
  ['tcp_', 'details of TCP connections'],
  ['udp_egress', 'UDP flows'],
  ['udp_ingress', 'UDP flows'],
  ['udp_bind', 'UDP ports'],
  ['udp_post_bind', 'UDP ports'],
  ['udp_sock_release', 'the end of UDP flows with their socket'],
  ['udp_sweep', 'the end of idle UDP flows'],
  ['udp_snapshot', 'UDP flows again after a loss'],
  ['udp_', 'owners of UDP flows'],
  ['syscall_exit', 'what the hooks of single system calls give'],
  ['process_', 'processes, however short they live'],
  ['cgroup_', 'control groups as they come and go'],
  ['snapshot_processes', 'processes that ran before the start'],
  ['snapshot_', 'sockets that were open before the start'],
];

/** It gives nothing of its own: what is missing without it has a line for itself. */
const STAND_IN = 'syscall_exit';

/** Each hook with what it gives and, where it is not attached, what might help. */
export function reportHooks(hooks: readonly ProbedHook[]): HookReport[] {
  return hooks.map(({ name, section, state, reason, standIn }) => {
    const gives = purposes.find(([prefix]) => name.startsWith(prefix))?.[1] ?? 'more detail';
    const known = reason ?? (isRefused(state) ? 'no reason is known' : undefined);
    return {
      name: printable(name),
      section: printable(section),
      state,
      gives,
      ...(known !== undefined && { reason: printable(known) }),
      ...(standIn !== undefined && { standIn: printable(standIn) }),
      ...(known !== undefined && { remedy: remedyFor(section, known) }),
    };
  });
}

const isRefused = (state: ProbedHook['state']) => state === 'unsupported' || state === 'failed';

/** What is not captured, each once, in the order of the hooks. */
export function gapsOf(hooks: readonly HookReport[]): string[] {
  const missing = hooks.filter(
    ({ reason, standIn, name }) =>
      reason !== undefined && standIn === undefined && name !== STAND_IN,
  );
  return [...new Set(missing.map(({ gives }) => gives))];
}

function remedyFor(section: string, reason: string): string {
  if (reason.includes('--without')) return 'leave it out of --without, NETSTATD_WITHOUT';
  if (/no cgroup v2/i.test(reason)) {
    return 'mount -t cgroup2 none /sys/fs/cgroup/unified (any directory will do)';
  }
  if (/not permitted|permission denied/i.test(reason)) {
    return 'a security policy forbids it: look at lockdown, seccomp and the settings of the container';
  }
  if (section.startsWith('tp/syscalls')) {
    return 'boot a kernel built with CONFIG_FTRACE_SYSCALLS=y; let it mount or read tracefs';
  }
  if (section.startsWith('cgroup')) return 'boot a kernel built with CONFIG_CGROUP_BPF=y';
  return 'boot a newer kernel, which has it';
}
