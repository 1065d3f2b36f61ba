/** What a follower counts since its start. */
export class ContainerdCounters {
  /** Connections that were made. */
  connects = 0;
  /** Connections that were lost, or could not be made. */
  failures = 0;
  events = 0;
  /** Complete lists of all namespaces. */
  lists = 0;
  /** Containers in the lists. */
  listed = 0;
  /** Containers asked for one by one. */
  gets = 0;
  /** Containers asked for because somebody named them before containerd did. */
  inspections = 0;
  /** Containers that were not asked for, as too many waited. */
  uninspected = 0;
  /** Events, objects and parts of them that are not as they should be. */
  malformed = 0;
  /** JSON that was too large to be read. */
  oversized = 0;
  /** Containers whose labels were cut or left out. */
  truncatedLabels = 0;
  /** Containers that did not fit into the table. */
  refused = 0;
  /** Changes of containers that are not told, as one of the same id in another namespace is. */
  sameId = 0;
  /** Containers whose id was taken by a newer one before their removal was seen. */
  replaced = 0;
  /** Events that told what was known. */
  stale = 0;
  /** Events of tasks of containers that nobody knows. */
  unknown = 0;
}
