import { join } from 'node:path';

/** As Debian names them. */
export type Architecture = 'amd64' | 'arm64';

/** The architecture of the machine that tests. */
export const here: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

export const root = join(__dirname, '..', '..', '..');

/** What is fetched and made for emulated machines; may be removed at any time. */
export const cache = join(root, '.output', 'kernels');
