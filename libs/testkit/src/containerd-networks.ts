import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Where CNI keeps what it made, for all networks of the machine. */
const RESULTS = '/var/lib/cni/results';

/** Removes the network namespaces of pods that were not removed in order, and what CNI remembers of them. */
export function removeNetworks(network: string): void {
  const all = existsSync(RESULTS) ? readdirSync(RESULTS) : [];
  for (const name of all.filter((each) => each.startsWith(`${network}-`))) {
    const { netns, containerId } = JSON.parse(readFileSync(join(RESULTS, name), 'utf8')) as {
      netns: string;
      containerId: string;
    };
    if (existsSync(netns)) {
      execFileSync('umount', ['--lazy', netns]);
      rmSync(netns, { force: true });
    }
    for (const each of all.filter((other) => other.includes(containerId)))
      rmSync(join(RESULTS, each), { force: true });
  }
}
