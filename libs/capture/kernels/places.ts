import { join } from 'node:path';

export type Architecture = 'amd64' | 'arm64';

const root = join(__dirname, '..', '..', '..');

/** What is fetched and made for emulated machines; may be removed at any time. */
export const cache = join(root, '.output', 'kernels');

/** What runs in them: built beforehand, for the architecture of the machine that tests. */
export const built = {
  object: join(root, 'bpf/.output/netstatd.bpf.o'),
  traffic: join(root, 'libs/testkit/.output/traffic'),
  recorder: join(cache, 'recorder'),
  init: join(__dirname, 'init'),
};
