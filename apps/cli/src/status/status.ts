import { exitCodes } from '../exit.ts';
import { fetchStatus, readStatus } from './read-status.ts';
import { statusTable } from './status-table.ts';

/** `netstatd status`: resolves with the exit code. */
export async function showStatus({ url, json }: { url: string; json?: boolean }): Promise<number> {
  const text = json
    ? `${(await fetchStatus(url)).text}\n`
    : statusTable(await readStatus(url), Date.now());
  await new Promise((resolve) => process.stdout.write(text, resolve));
  return exitCodes.ok;
}
