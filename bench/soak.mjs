/** `npm run soak`: everything comes and goes for a while, and nothing may grow or be missed. */
import { launch } from './launch.mjs';

await launch('soak', { soak: 'soak/main.ts', watcher: 'soak/watcher.ts' }, process.argv.slice(2));
