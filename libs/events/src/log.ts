import { jsonText } from './json.ts';
import type { ConnectionEvent, NetstatdEvent } from './types.ts';

/** A line of the JSON connection log. Absent is what is not known. */
export interface LogLine {
  timestamp: string;
  node: string;
  type: 'CONNECT' | 'ACCEPT' | 'CLOSE';
  protocol: string;
  /** Source and destination of the connection: of an inbound one the source is the remote end. */
  src_ip?: string | undefined;
  src_port?: number | undefined;
  dst_ip?: string | undefined;
  dst_port?: number | undefined;
  /** The process at this end, by its comm. */
  pid?: number | undefined;
  process?: string | undefined;
  netns?: number | undefined;
  container?:
    | {
        /** First 12 digits of the id. */
        container_id: string;
        pod_name?: string | undefined;
        pod_namespace?: string | undefined;
        container_name?: string | undefined;
      }
    | undefined;
  /** Which end of the connection this one is; when it is not known, this end is shown as the source. */
  direction?: string | undefined;
  /** CLOSE only, from here on. */
  bytes_sent?: number | undefined;
  bytes_received?: number | undefined;
  duration_us?: number | undefined;
  /** Which end closed, or why a connect failed. */
  reason?: string | undefined;
}

/**
 * The line of the JSON connection log for an event, without line end; undefined when the event makes none.
 *
 * CONNECT is an outbound connection that was established, since only then source and result are known; a
 * connect that failed makes a CLOSE with the reason and no CONNECT. ACCEPT is an inbound connection whose
 * owner is known: at its ESTABLISHED, or else at connection.accepted, so each connection makes one at most. A
 * UDP flow makes the same lines at its first datagram and its end. Rows of a snapshot are no happenings:
 * leaving them out is up to the caller.
 */
export function toLogLine(event: NetstatdEvent): string | undefined {
  if (event.type !== 'connection.event' && event.type !== 'connection.accepted') return undefined;
  const type = logType(event);
  return type && jsonText(logLine(type, event));
}

function logType(event: ConnectionEvent): LogLine['type'] | undefined {
  if (event.type === 'connection.accepted') return 'ACCEPT';
  if (event.state === 'CLOSE') return 'CLOSE';
  if (event.state !== 'ESTABLISHED') return undefined;
  if (event.direction === 'outbound') return 'CONNECT';
  const owned = event.pid !== undefined || event.protocol === 'UDP';
  return event.direction === 'inbound' && owned ? 'ACCEPT' : undefined;
}

function logLine(type: LogLine['type'], event: ConnectionEvent): LogLine {
  const local = [event.localIP, event.localPort] as const;
  const remote = [event.remoteIP, event.remotePort] as const;
  const inbound = event.direction === 'inbound' || type === 'ACCEPT';
  const [source, destination] = inbound ? [remote, local] : [local, remote];
  return {
    timestamp: event.timestamp,
    node: event.nodeName,
    type,
    protocol: event.protocol,
    src_ip: source[0],
    src_port: source[1],
    dst_ip: destination[0],
    dst_port: destination[1],
    pid: event.pid,
    process: event.comm,
    netns: event.netns,
    container:
      event.containerUid === undefined
        ? undefined
        : {
            container_id: event.containerUid.slice(0, 12),
            pod_name: event.podName,
            pod_namespace: event.namespace,
            container_name: event.containerName,
          },
    direction: event.direction,
    ...(type === 'CLOSE' && {
      bytes_sent: event.bytesSent,
      bytes_received: event.bytesReceived,
      duration_us: event.durationMicros,
      reason: event.closeReason,
    }),
  };
}
