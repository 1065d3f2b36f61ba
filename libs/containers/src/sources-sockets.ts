import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';

/** By which interface a runtime is followed. */
export type SourceKind = 'containerd' | 'cri' | 'docker';

export interface RuntimeSocket {
  readonly kind: SourceKind;
  readonly path: string;
}

/** Where runtimes listen, below the host's root. Paths without symbolic links, which would lead out of that root. */
export const knownSockets: readonly RuntimeSocket[] = [
  { kind: 'containerd', path: '/run/containerd/containerd.sock' },
  // RKE2 as well.
  { kind: 'containerd', path: '/run/k3s/containerd/containerd.sock' },
  { kind: 'containerd', path: '/run/k0s/containerd.sock' },
  { kind: 'containerd', path: '/var/snap/microk8s/common/run/containerd.sock' },
  { kind: 'cri', path: '/run/crio/crio.sock' },
  { kind: 'docker', path: '/run/docker.sock' },
  { kind: 'docker', path: '/run/podman/podman.sock' },
];

/** What is at a path: a socket with its identity, one that may not be opened, or none. */
export type SocketState = { readonly identity: string } | 'forbidden' | 'absent';

export function socketState(path: string): SocketState {
  try {
    const stats = statSync(path);
    if (!stats.isSocket()) return 'absent';
    accessSync(path, constants.R_OK | constants.W_OK);
    return { identity: `${stats.dev}:${stats.ino}` };
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'forbidden' : 'absent';
  }
}

/**
 * The sockets to look at.
 * @param chosen CONTAINERD_SOCKET: a path or `unix://` URL of containerd's socket, as this process sees it; then it alone
 */
export function candidateSockets(hostRoot: string, chosen?: string): readonly RuntimeSocket[] {
  if (chosen) return [{ kind: 'containerd', path: chosen.replace(/^unix:(\/\/)?(?=\/)/, '') }];
  return knownSockets.map(({ kind, path }) => ({ kind, path: join(hostRoot, path) }));
}
