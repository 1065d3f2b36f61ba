/**
 * A WebSocket client in a process of its own that counts what it is told, for the soak. Argument: the address of
 * /conntrack. It says how it is four times a second, and of losses at once; it answers what it is asked.
 */
import { openConntrack } from '@netstatd/client';
import type { Answer, Question, Word } from './words.ts';
import { SeenGroups } from './seen.ts';

const STATE_MS = 250;
const PURGE_MS = 10_000;

const [, , url = ''] = process.argv;
const groups = new SeenGroups();
const say = (word: Word | Answer) => process.send?.(word);

/** Of the last connection told, as it came: it is read when a loss is told. */
let lastTime = '';

const client = openConntrack(url, [], {
  batch: true,
  onEvent: (event) => {
    groups.take(event);
    if (event.type === 'connection.event' && !groups.opening) lastTime = event.timestamp;
    if (event.type === 'snapshot.complete') say({ word: 'complete', atMs: Date.now() });
  },
  onLagged: ({ place, dropped }) =>
    say({
      ...{ word: 'lagged', atMs: Date.now(), fromMs: Date.parse(lastTime) || 0 },
      ...{ place: place ?? 'unknown', dropped },
    }),
  onOpen: () => groups.expectOpening(),
  onClose: (reason) => say({ word: 'closed', atMs: Date.now(), reason }),
});

process.on('message', ({ id, key, forget }: Question) => {
  if (key === undefined) {
    say({ id, open: [...groups.open()] });
    return;
  }
  say({ id, seen: groups.seen(key) });
  if (forget) groups.forget(key);
});
process.on('disconnect', () => process.exit(0));
// As a terminal delivers it to everybody: the parent says when to end.
process.on('SIGINT', () => undefined);
setInterval(() => groups.purge(), PURGE_MS);
setInterval(() => {
  const { events, malformed } = client.counters;
  const { peers, openings } = groups;
  say({ word: 'state', events, malformed, peers, openings });
}, STATE_MS);
