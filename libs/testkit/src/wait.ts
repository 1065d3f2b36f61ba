import { setTimeout as delay } from 'node:timers/promises';

/** How long a test waits for something that should happen, before it says what did not. */
export const PATIENCE_MS = 60_000;

/** Waits until `probe` gives something else than undefined or false, and returns it. */
export async function waitFor<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = PATIENCE_MS,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await delay(20);
  }
}
