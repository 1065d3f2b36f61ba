import type { Benchmark } from '../frame/benchmark.ts';
import { Client } from '../parts/client.ts';
import { LOAD_PORT, runLoad } from '../parts/load.ts';
import { withNetstatd } from '../parts/netstatd.ts';

/** Each connection: SYN_SENT, and ESTABLISHED and CLOSE of both its ends. */
const EVENTS_PER_CONNECTION = 5;
const KINDS = [
  '"state":"SYN_SENT"',
  '"state":"ESTABLISHED","direction":"outbound"',
  '"state":"ESTABLISHED","direction":"inbound"',
  '"state":"CLOSE","direction":"outbound"',
  '"state":"CLOSE","direction":"inbound"',
];

/** Nothing may be lost, least of all on a busy machine: rounds count whatever else runs. */
export const churn: Benchmark = {
  name: 'churn',
  what: 'real connections at the highest rate: made − seen − counted as lost',
  run: (rounds) =>
    withNetstatd(async (up) => {
      const client = await Client.open(
        up.url(`/conntrack?port=${LOAD_PORT}`),
        ['"type":"connection.event"', ...KINDS].join('|'),
      );
      try {
        const { made = 0, seconds: took = 1 } = await runLoad('churn', {
          ...{ close: 'rst', seconds: rounds.seconds(30, 8) },
        });
        const events = made * EVENTS_PER_CONNECTION;
        await client.until(events);
        const { dropped: counted } = client.counted;
        const missing = events - client.counted.events;
        const kinds = client.counted.also.map((seen) => made - seen);
        const rate = Math.round(made / took);
        const note =
          `${made} connections at ${rate} a second, ${events} events; ` +
          `missing of each kind: ${kinds.join(', ')}`;
        const goal = { atMost: 0, worst: true as const };
        return [
          {
            key: 'churn.lost',
            unit: 'events',
            goal,
            rounds: [Math.max(0, missing - counted)],
            note,
          },
          { key: 'churn.counted', unit: 'events', goal, rounds: [counted] },
        ];
      } finally {
        await client.close();
      }
    }),
};
