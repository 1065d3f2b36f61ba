import {
  encodeProcess,
  encodeSocket,
  ProcessKind,
  RecordFlag,
  SocketKind,
} from '@netstatd/records';
import type { Holder } from './holders.ts';
import { TcpState, type SocketRole, type TrackedSocket } from './tracked-socket.ts';

const AF_INET = 2;
const AF_INET6 = 10;

/**
 * The cookies of sockets that were read from /proc are their inodes, above all that the kernel counts up to: a
 * cookie is the same after a restart of the collector, and never that of another socket.
 */
const COOKIE_BASE = 2 ** 52;

const opened: Record<SocketRole, number> = {
  listener: SocketKind.LISTENING,
  bound: SocketKind.BOUND,
  connection: SocketKind.ESTABLISHED,
  flow: SocketKind.FLOW_OPENED,
};
const closed: Record<SocketRole, number> = {
  listener: SocketKind.UNLISTENED,
  bound: SocketKind.UNBOUND,
  connection: SocketKind.CLOSED,
  flow: SocketKind.FLOW_CLOSED,
};

/** A socket that a poll found for the first time. */
export function openedRecord(socket: TrackedSocket, timeNs: number): Uint8Array {
  const connecting = socket.role === 'connection' && socket.state === TcpState.SYN_SENT;
  return record(socket, connecting ? SocketKind.CONNECTING : opened[socket.role], timeNs);
}

/** A connection that was connecting and no longer is. */
export function establishedRecord(socket: TrackedSocket, timeNs: number): Uint8Array {
  return record(socket, SocketKind.ESTABLISHED, timeNs);
}

/** The owner of a socket was found after it was told of; undefined where that cannot be told. */
export function ownedRecord(socket: TrackedSocket, timeNs: number): Uint8Array | undefined {
  if (socket.role === 'flow') return undefined;
  const kind = socket.role === 'connection' ? SocketKind.ACCEPTED : opened[socket.role];
  return record(socket, kind, timeNs);
}

/** A socket that polls no longer find. */
export function closedRecord(socket: TrackedSocket, timeNs: number): Uint8Array {
  return record(socket, closed[socket.role], timeNs, { state: TcpState.CLOSE });
}

/** A socket as a snapshot shows it. */
export function snapshotRecord(socket: TrackedSocket, timeNs: number): Uint8Array {
  const kind = socket.role === 'connection' ? SocketKind.OPEN : opened[socket.role];
  return record(socket, kind, timeNs, { flags: RecordFlag.SNAPSHOT });
}

/** A process that holds sockets. */
export function processRecord(process: Holder, timeNs: number, kind: ProcessKind): Uint8Array {
  const { startNs, cgroupId, pid, ppid, uid, netns, comm, exe } = process;
  const fields = { startNs, cgroupId, pid, ppid, comm };
  const flags = kind === ProcessKind.EXISTS ? RecordFlag.SNAPSHOT : 0;
  return encodeProcess(
    { kind, timeNs, flags },
    {
      ...fields,
      ...(uid !== undefined && { uid }),
      ...(netns !== undefined && { netns }),
      ...(exe !== undefined && kind === ProcessKind.EXISTS && { exe }),
    },
  );
}

function record(
  socket: TrackedSocket,
  kind: number,
  timeNs: number,
  { flags = 0, state = socket.state } = {},
): Uint8Array {
  const { owner, local, remote, role } = socket;
  // What the port does not tell, nobody is to guess; a port that is told of as bound was asked for.
  const asked = role === 'bound' || socket.direction === 0 ? RecordFlag.PORT_ASKED : 0;
  const told = owner === undefined ? 0 : RecordFlag.OWNER;
  return encodeSocket(
    { kind, timeNs, flags: flags | asked | told | RecordFlag.UNCOUNTED },
    {
      cookie: COOKIE_BASE + socket.inode,
      cgroupId: owner?.cgroupId ?? 0,
      ownerStartNs: owner?.startNs ?? 0,
      pid: owner?.pid ?? 0,
      uid: socket.uid,
      netns: socket.netns,
      localPort: local.port,
      remotePort: remote.port,
      localAddress: local.address,
      remoteAddress: remote.address,
      comm: owner?.comm ?? '',
      family: local.address.length === 4 ? AF_INET : AF_INET6,
      protocol: socket.protocol,
      state,
      direction: socket.direction,
    },
  );
}
