import { connect } from 'node:net';
import { printable } from '@netstatd/events';
import type { Check } from './report.ts';
import type { System } from './system.ts';

/** Where the container runtimes of the usual distributions listen. */
const SOCKETS: readonly (readonly [runtime: string, path: string])[] = [
  ['containerd', '/run/containerd/containerd.sock'],
  ['k3s or RKE2', '/run/k3s/containerd/containerd.sock'],
  ['k0s', '/run/k0s/containerd.sock'],
  ['microk8s', '/var/snap/microk8s/common/run/containerd.sock'],
  ['CRI-O', '/run/crio/crio.sock'],
  ['Docker', '/run/docker.sock'],
  ['podman', '/run/podman/podman.sock'],
];
const TIMEOUT_MS = 1000;

/** Which container runtimes are here, and whether they may be asked. */
export async function runtimeChecks(system: System, named?: string): Promise<Check[]> {
  const sockets = named ? [['CONTAINERD_SOCKET', named] as const, ...SOCKETS] : SOCKETS;
  const checks = await Promise.all(
    sockets.map(async ([subject, path]): Promise<Check | undefined> => {
      const failure = await failureOf(system.path(path));
      if (failure === 'ENOENT' || failure === 'ENOTDIR') {
        if (path !== named) return undefined;
        const text = `${printable(path)} does not exist`;
        return { group: 'containers', subject, state: 'warn', text };
      }
      const state = failure === undefined ? 'ok' : 'warn';
      return {
        group: 'containers',
        subject,
        state,
        text: `${printable(path)} ${failure === undefined ? 'answers' : wordsFor(failure)}`,
        ...(failure === 'EACCES' && { remedy: 'run it as root, or as a member of its group' }),
      };
    }),
  );
  const found = checks.filter((check) => check !== undefined);
  if (found.length > 0) return found;
  const text = 'none found; containers are told by their control groups alone';
  return [{ group: 'containers', subject: 'runtimes', state: 'note', text }];
}

function wordsFor(failure: string): string {
  if (failure === 'EACCES') return 'may not be opened by this user';
  return failure === 'ECONNREFUSED'
    ? 'is left over: nobody listens'
    : `does not answer (${failure})`;
}

/** Code of the error when a unix socket is connected to; undefined when that works. */
function failureOf(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (failure?: string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(failure);
    };
    const timer = setTimeout(() => end('ETIMEDOUT'), TIMEOUT_MS);
    socket.once('connect', () => end());
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}
