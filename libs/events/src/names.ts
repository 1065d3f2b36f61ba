/** The closed sets of names that fields of events take. */

/** Names of the kernel's TCP states; the state numbered n (include/net/tcp_states.h) is at n - 1. */
export const tcpStates = [
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
  'NEW_SYN_RECV',
] as const;

export const protocols = ['TCP', 'UDP'] as const;

/** outbound: this end connected or sent first. */
export const directions = ['outbound', 'inbound'] as const;

/** Which end closed a connection, or why it failed. */
export const closeReasons = [
  'local',
  'remote',
  'reset',
  'refused',
  'timeout',
  'unreachable',
] as const;

/** What a remote address belongs to. */
export const remoteKinds = ['pod', 'service', 'host', 'loopback', 'external'] as const;

/** Where events are lost: the kernel's ring buffer, the bus, a restart, a reader's own queue. */
export const lagPlaces = ['kernel', 'bus', 'restart', 'client'] as const;
