import type { RuntimeContainer } from '@netstatd/containers';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RuntimeSource } from './runtime-source.ts';

/** A /proc with the processes that a test puts there. */
export class FakeProc {
  readonly root = mkdtempSync(join(tmpdir(), 'netstatd-proc-'));

  /** @param cgroup the text of /proc/<pid>/cgroup @param addresses of its network namespace, IPv4 */
  add(
    pid: number,
    process: {
      startNs: number;
      comm?: string;
      cgroup?: string;
      netns?: number;
      exe?: string;
      addresses?: readonly string[];
    },
  ): void {
    const { startNs, comm = 'web', cgroup = '0::/\n', netns, exe, addresses = [] } = process;
    const directory = join(this.root, `${pid}`);
    mkdirSync(join(directory, 'ns'), { recursive: true });
    mkdirSync(join(directory, 'net'), { recursive: true });
    const ticks = Math.floor(startNs / 1e7);
    writeFileSync(join(directory, 'stat'), `${pid} (${comm}) S 1 ${'0 '.repeat(17)}${ticks} 0`);
    writeFileSync(join(directory, 'cgroup'), cgroup);
    const routes = addresses.map((ip) => `           |-- ${ip}\n              /32 host LOCAL\n`);
    writeFileSync(join(directory, 'net', 'fib_trie'), `Local:\n${routes.join('')}`);
    if (netns !== undefined) symlinkSync(`net:[${netns}]`, join(directory, 'ns', 'net'));
    if (exe !== undefined) symlinkSync(exe, join(directory, 'exe'));
  }

  remove(pid: number): void {
    rmSync(join(this.root, `${pid}`), { recursive: true, force: true });
  }

  close(): void {
    rmSync(this.root, { recursive: true });
  }
}

/** Runtimes that know what a test says; questions are kept. */
export class FakeRuntime implements RuntimeSource {
  following = true;
  readonly asked: string[] = [];

  ask(containerUid: string): void {
    this.asked.push(containerUid);
  }
}

/** A container of a pod as containerd's CRI plugin has it. */
export function podContainer(
  id: string,
  pod: string,
  more: Partial<RuntimeContainer> = {},
): RuntimeContainer {
  return {
    ...{ id, runtime: 'containerd', containerdNamespace: 'k8s.io', image: 'busybox:1' },
    ...{ podName: pod, podNamespace: 'shop', podUid: `uid-of-${pod}` },
    ...{ containerName: 'app', name: 'app', sandbox: false, state: 'running' },
    labels: { 'io.kubernetes.pod.name': pod },
    ...more,
  };
}
