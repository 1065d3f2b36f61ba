/** What the page reads of an event: a part of what the gateway's `/asyncapi.json` documents. */
export interface WireEvent {
  readonly type: string;
  /** RFC 3339, UTC, microseconds. */
  readonly timestamp: string;
  readonly nodeName: string;
  readonly protocol?: string;
  readonly family?: number;
  readonly state?: string;
  readonly direction?: string;
  readonly sockCookie?: number;
  readonly localIP?: string;
  readonly localPort?: number;
  readonly remoteIP?: string;
  readonly remotePort?: number;
  readonly pid?: number;
  readonly exe?: string;
  readonly comm?: string;
  readonly containerUid?: string;
  readonly podName?: string;
  readonly namespace?: string;
  readonly containerName?: string;
  readonly bytesSent?: number;
  readonly bytesReceived?: number;
  readonly durationMicros?: number;
  readonly closeReason?: string;
  readonly connections?: number;
  readonly dropped?: number;
  readonly place?: string;
  readonly reason?: string;
}

/** The event types the table needs; losses and the end of a snapshot always come along. */
export const wantedTypes = [
  'host.info',
  'connection.event',
  'connection.accepted',
  'node.up',
  'node.down',
  'node.lost',
] as const;
