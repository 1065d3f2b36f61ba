import { join } from 'node:path';

/** The bundle runs from bench/.output/js. */
const output = join(__dirname, '..');
const dist = join(output, '..', '..', 'dist');

export const places = {
  load: join(output, 'load'),
  generator: join(output, 'generator.bpf.o'),
  client: join(__dirname, 'client.js'),
  relay: join(__dirname, 'relay.js'),
  watcher: join(__dirname, 'watcher.js'),
  collector: join(dist, 'collector', 'main.js'),
  addon: join(dist, 'collector', 'capture.node'),
  object: join(dist, 'collector', 'netstatd.bpf.o'),
};
