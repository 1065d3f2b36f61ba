import type { Bus } from '@netstatd/bus';

/** What the stream needs of the bus. */
export type StreamBus = Pick<
  Bus,
  'connected' | 'flush' | 'onChange' | 'publish' | 'requestMany' | 'respond' | 'subscribe'
>;
