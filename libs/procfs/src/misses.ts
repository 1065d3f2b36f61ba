/** What polling /proc cannot show, whatever the machine; in words. */
export const PROCFS_MISSES: readonly string[] = [
  'what begins and ends between two polls',
  'connects that fail',
  'how much was sent and received',
  'why a connection ended',
  'UDP sockets without a fixed peer',
  'the owners of what other users opened, unless it runs as root',
];
