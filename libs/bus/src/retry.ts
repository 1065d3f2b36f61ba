const FIRST_MS = 100;
const LONGEST_MS = 2000;

/**
 * Milliseconds to wait before retry number `attempt` (from 0): doubling from 0.1 s to 2 s, the
 * upper half of it random, so that the peers of a server that comes back do not come all at once.
 */
export function retryDelayMs(attempt: number): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 16));
  return ceiling * (0.5 + Math.random() / 2);
}
