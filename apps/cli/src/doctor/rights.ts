import type { Check } from './report.ts';
import type { System } from './system.ts';

/** linux/capability.h, by number. */
const CAPABILITIES = (
  'chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable ' +
  'net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot ' +
  'sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease ' +
  'audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read ' +
  'perfmon bpf checkpoint_restore'
)
  .split(' ')
  .map((name) => `CAP_${name.toUpperCase()}`);

/** Names of the capabilities in a set as /proc/<pid>/status has it: hexadecimal, bit n is number n. */
export function capabilityNames(set: string): string[] {
  const bits = BigInt(`0x${/^[0-9a-f]{1,16}$/.exec(set)?.[0] ?? '0'}`);
  return CAPABILITIES.filter((_, number) => (bits >> BigInt(number)) & 1n);
}

/** What the capture needs, CAP_SYS_ADMIN standing in for the first two as before Linux 5.8. */
const CAPTURE = ['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN'];
const BY_ADMIN = new Set(['CAP_BPF', 'CAP_PERFMON']);

/** Inodes that the first user and pid namespaces have on every Linux (linux/proc_ns.h). */
const FIRST_USER_NS = 'user:[4026531837]';
const FIRST_PID_NS = 'pid:[4026531836]';

/** A capture with a file for each program, each map and each link. */
const FILES_NEEDED = 256;

/** What this process may do, and in which part of the machine it is. */
export function rightsChecks(system: System): Check[] {
  const status = system.text('/proc/self/status') ?? '';
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1];
  const checks = [capabilities(field('Uid') ?? '?', capabilityNames(field('CapEff') ?? '0'))];
  if (field('Seccomp') === '2') {
    const text = 'a filter is on: it may refuse bpf() and perf_event_open()';
    checks.push({ group: 'rights', subject: 'seccomp', state: 'note', text });
  }
  const userNs = system.link('/proc/self/ns/user');
  if (userNs !== undefined && userNs !== FIRST_USER_NS) {
    checks.push({
      group: 'rights',
      subject: 'user namespace',
      state: 'warn',
      text: 'not the first one: capabilities here are none for BPF',
      remedy: 'run it outside of rootless containers',
    });
  }
  const pidNs = system.link('/proc/self/ns/pid');
  if (pidNs !== undefined && pidNs !== FIRST_PID_NS) {
    checks.push({
      group: 'rights',
      subject: 'pid namespace',
      state: 'warn',
      text: 'not the first one: process ids of the kernel are not those of /proc here',
      remedy: "share the host's (hostPID: true, docker run --pid=host)",
      gap: 'processes that ran before the start',
    });
  }
  return [...checks, ...limits(system)];
}

function capabilities(uid: string, has: readonly string[]): Check {
  const who = uid === '0' ? 'root' : `user ${uid}`;
  const owned = new Set(has);
  const missing = CAPTURE.filter(
    (name) => !owned.has(name) && !(BY_ADMIN.has(name) && owned.has('CAP_SYS_ADMIN')),
  );
  const check = { group: 'rights', subject: 'capabilities' } as const;
  const remedy =
    'run it as root (sudo), or with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_PTRACE';
  if (missing.length > 0) {
    return { ...check, state: 'fail', text: `${who}, without ${missing.join(', ')}`, remedy };
  }
  if (!owned.has('CAP_SYS_PTRACE') && uid !== '0') {
    return {
      ...check,
      state: 'warn',
      text: `${who}, without CAP_SYS_PTRACE`,
      remedy,
      gap: "executables of other users' processes that ran before the start",
    };
  }
  const used = [...CAPTURE, 'CAP_SYS_ADMIN', 'CAP_SYS_PTRACE'].filter((name) => owned.has(name));
  return { ...check, state: 'ok', text: `${who} with ${used.join(', ')}` };
}

function limits(system: System): Check[] {
  const text = system.text('/proc/self/limits') ?? '';
  const soft = (name: string) => new RegExp(`^${name} +(\\S+)`, 'm').exec(text)?.[1];
  const checks: Check[] = [];
  const locked = soft('Max locked memory');
  if (locked !== undefined) {
    const size = locked === 'unlimited' ? locked : `${Number(locked) / 1024} KB`;
    checks.push({
      group: 'rights',
      subject: 'locked memory',
      state: 'note',
      text: `${size}; memory of BPF has not counted since Linux 5.11`,
    });
  }
  const files = soft('Max open files');
  if (files !== undefined && files !== 'unlimited') {
    const enough = Number(files) >= FILES_NEEDED;
    checks.push({
      group: 'rights',
      subject: 'open files',
      state: enough ? 'ok' : 'fail',
      text: `${files} at a time${enough ? '' : `, of which ${FILES_NEEDED} are needed`}`,
      ...(enough ? {} : { remedy: `ulimit -n ${FILES_NEEDED * 4}` }),
    });
  }
  return checks;
}
