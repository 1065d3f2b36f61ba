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

/**
 * Text that a process chose for itself (`comm`, `exe`), with everything that is not printable made
 * visible: controls, bidirectional overrides and other format characters could disguise a row.
 */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}
