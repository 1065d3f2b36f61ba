import { hasLegacyCgroups, parseMountinfo, unifiedCgroupMount } from '@netstatd/procfs';
import type { Check } from './report.ts';
import type { System } from './system.ts';

const BTF = '/sys/kernel/btf/vmlinux';

/** What the kernel is and what it allows everybody. */
export function kernelChecks(system: System): Check[] {
  const group = 'kernel';
  const checks: Check[] = [];
  const release = system.text('/proc/sys/kernel/osrelease');
  checks.push({
    group,
    subject: 'version',
    state: release === undefined ? 'warn' : 'ok',
    text: release === undefined ? '/proc is not mounted' : `Linux ${release}, ${process.arch}`,
  });
  const btf = system.bytes(BTF);
  if (btf !== undefined && system.may(BTF, 'R_OK')) {
    const text = `${BTF}${btf > 0 ? `, ${(btf / 1e6).toFixed(1)} MB` : ''}`;
    checks.push({ group, subject: 'BTF', state: 'ok', text });
  } else {
    const text = btf === undefined ? `${BTF} is missing` : `${BTF} may not be read`;
    const remedy = 'mount /sys, or boot a kernel built with CONFIG_DEBUG_INFO_BTF=y';
    checks.push({ group, subject: 'BTF', state: 'fail', text, remedy });
  }
  return [...checks, lockdown(system), unprivilegedBpf(system), jit(system)];
}

function lockdown(system: System): Check {
  const check = { group: 'kernel', subject: 'lockdown' } as const;
  const modes = system.text('/sys/kernel/security/lockdown');
  const mode = /\[(\w+)\]/.exec(modes ?? '')?.[1];
  if (mode === undefined) {
    const text = 'not told: /sys/kernel/security/lockdown cannot be read';
    return { ...check, state: 'note', text };
  }
  if (mode !== 'confidentiality') return { ...check, state: 'ok', text: mode };
  const text = 'confidentiality: BPF programs may not read the memory of the kernel';
  const remedy = 'boot with lockdown=integrity, or without lockdown=';
  return { ...check, state: 'fail', text, remedy };
}

/** Of no weight for those who have the rights; the others want to know. */
function unprivilegedBpf(system: System): Check {
  const value = system.text('/proc/sys/kernel/unprivileged_bpf_disabled');
  const meaning: Partial<Record<string, string>> = {
    0: 'allowed for some kinds of programs, none of which netstatd uses',
    1: 'disabled until the next boot',
    2: 'disabled',
  };
  const text = meaning[value ?? ''] ?? 'not told';
  return { group: 'kernel', subject: 'unprivileged BPF', state: 'note', text };
}

function jit(system: System): Check {
  const check = { group: 'kernel', subject: 'BPF compiler' } as const;
  const value = system.text('/proc/sys/net/core/bpf_jit_enable');
  if (value === undefined) return { ...check, state: 'note', text: 'not told' };
  if (value !== '0') return { ...check, state: 'ok', text: 'on' };
  const remedy = 'sysctl net.core.bpf_jit_enable=1';
  return { ...check, state: 'warn', text: 'off: programs are interpreted, which is slow', remedy };
}

/** The hierarchies of control groups; the second version's root is where UDP is seen. */
export function cgroupChecks(system: System): Check[] {
  const mounts = parseMountinfo(system.text('/proc/self/mountinfo') ?? '');
  const unified = unifiedCgroupMount(mounts);
  const legacy = hasLegacyCgroups(mounts);
  const check = { group: 'cgroups', subject: 'version' } as const;
  if (unified === undefined) {
    return [
      {
        ...check,
        state: 'warn',
        text: legacy ? 'v1 only' : 'none is mounted',
        remedy: 'mount -t cgroup2 none /sys/fs/cgroup/unified (any directory will do)',
      },
    ];
  }
  const text = legacy ? `v1 and v2, v2 at ${unified}` : `v2 at ${unified}`;
  return [{ ...check, state: 'ok', text }];
}
