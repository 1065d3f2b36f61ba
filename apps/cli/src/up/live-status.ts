import { readStatus, summary } from '../status/read-status.ts';
import type { OneMachine } from './one-machine.ts';
import type { Terminal } from './terminal.ts';

const EVERY_MS = 2000;

/** Keeps the terminal's last line up to date with what was seen and lost; returns its end. */
export function followStatus(machine: OneMachine, terminal: Terminal): () => void {
  let timer: NodeJS.Timeout | undefined;
  const stopped = new AbortController();
  const ask = async () => {
    const port = machine.gatewayPort;
    try {
      if (port !== undefined && machine.complete) {
        const status = await readStatus(`http://127.0.0.1:${port}`, stopped.signal);
        if (!stopped.signal.aborted) terminal.status(summary(status));
      }
    } catch {
      // A gateway that is being started again is reported where its end is.
      if (!stopped.signal.aborted) terminal.status('');
    }
    if (!stopped.signal.aborted) timer = setTimeout(() => void ask(), EVERY_MS);
  };
  timer = setTimeout(() => void ask(), EVERY_MS);
  return () => {
    stopped.abort();
    clearTimeout(timer);
  };
}
