/**
 * Bundles one app into dist/<app>/main.js: a single CommonJS file that runs without node_modules.
 * Usage: node scripts/bundle.mjs APP
 */
import { build } from 'esbuild';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const app = process.argv[2];
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

await build({
  entryPoints: [join(root, 'apps', app, 'src', 'main.ts')],
  outfile: join(root, 'dist', app, 'main.js'),
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  sourcemap: true,
  // The source is kept in memory by every service: a third of it is space. Names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  define: { NETSTATD_VERSION: JSON.stringify(version) },
  logLevel: 'warning',
});
