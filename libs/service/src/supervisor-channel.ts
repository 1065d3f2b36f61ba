import type { Readiness } from './readiness.ts';

/** What a service tells the process that started it, when there is an IPC channel between them. */
export type ServiceMessage =
  | { netstatd: 'ports'; ports: Record<string, number> }
  | { netstatd: 'ready'; ready: boolean; reasons: Record<string, string> };

/** Tells the parent, if there is one that listens. */
export function tellParent(message: ServiceMessage): void {
  // A parent that is gone is noticed by `disconnect`, not here.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

/** Keeps the parent informed of readiness. */
export function reportReadiness(ready: Readiness): void {
  const report = () =>
    tellParent({ netstatd: 'ready', ready: ready.ready, reasons: ready.reasons() });
  ready.onChange(report);
  report();
}
