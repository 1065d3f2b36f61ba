/** `npm run build:arm64`: the two files of the collector that depend on the architecture, in dist/arm64. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildFor } from './build.ts';
import { root } from './places.ts';

const { object, addon } = buildFor('arm64');
const out = join(root, 'dist', 'arm64');
mkdirSync(out, { recursive: true });
copyFileSync(object, join(out, 'netstatd.bpf.o'));
copyFileSync(addon, join(out, 'capture.node'));
console.log(`${out}: netstatd.bpf.o, capture.node`);
