/** Puts what the collector loads at run time beside its bundle: dist/collector/{capture.node,netstatd.bpf.o}. */
import { copyFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const files = {
  'libs/capture/.output/netstatd_capture.node': 'capture.node',
  'bpf/.output/netstatd.bpf.o': 'netstatd.bpf.o',
};

for (const [from, name] of Object.entries(files)) {
  const to = join(root, 'dist/collector', name);
  // Renamed into place: a collector that runs keeps the file it has mapped.
  copyFileSync(join(root, from), `${to}.part`);
  renameSync(`${to}.part`, to);
}
