/** `npm run bench`: the benchmarks. */
import { launch } from './launch.mjs';

await launch(
  'start',
  { main: 'main.ts', client: 'client.ts', relay: 'relay.ts' },
  process.argv.slice(2),
);
