/** The subjects of one node, or of every node where the token is `*`. */
export interface Subjects {
  /** Batches of raw records: collector to enricher. */
  readonly raw: string;
  /** Asks the collector for its snapshot in the raw stream. */
  readonly resync: string;
  /** Batches of events: enricher to everybody. */
  readonly events: string;
  /** Request for the node's state, answered in pages by the enricher. */
  readonly snapshot: string;
  /** Heartbeats of every service. */
  readonly status: string;
  /** DNS answers for this node. */
  readonly dns: string;
}

/** DNS answers for all nodes. */
export const DNS_SUBJECT = 'netstatd.dns';

/**
 * The subject token of a node name: `.` becomes `_`. Throws a RangeError on any other character
 * outside `[A-Za-z0-9_-]` and on an empty name.
 */
export function nodeToken(name: string): string {
  const token = name.replaceAll('.', '_');
  if (!/^[A-Za-z0-9_-]{1,253}$/.test(token))
    throw new RangeError(
      `node name ${JSON.stringify(name)} is not 1 to 253 letters, digits, dots, "-" or "_"`,
    );
  return token;
}

/** The subjects of `node` (a name, not a token). Throws like {@link nodeToken}. */
export function subjects(node: string): Subjects {
  return subjectsOfToken(nodeToken(node));
}

/** The subjects on which every node is heard. */
export const allNodes: Subjects = subjectsOfToken('*');

function subjectsOfToken(token: string): Subjects {
  const of = (leaf: string): string => `netstatd.${token}.${leaf}`;
  return {
    raw: of('raw'),
    resync: of('raw.resync'),
    events: of('events'),
    snapshot: of('snapshot'),
    status: of('status'),
    dns: of('dns'),
  };
}
