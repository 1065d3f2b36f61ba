import type { NetstatdEvent } from '@netstatd/events';
import { Repeats } from './repeats.ts';

const event = (fields: object): NetstatdEvent => ({
  ...{ type: 'connection.event', timestamp: 't1', nodeName: 'n', protocol: 'TCP', family: 4 },
  ...{ state: 'ESTABLISHED', sockCookie: 7, remoteIP: '10.0.0.2', remotePort: 80 },
  ...fields,
});

test('an event that only names the container is no happening', () => {
  const repeats = new Repeats();
  const seen = [
    event({ state: 'SYN_SENT', timestamp: 't0' }),
    event({}),
    event({ podName: 'shop-1' }),
    event({ nodeName: 'other' }),
    event({ protocol: 'UDP' }),
    event({ protocol: 'UDP', remotePort: 81 }),
    event({ state: 'CLOSE', timestamp: 't2' }),
    event({}),
    event({ sockCookie: undefined }),
    event({ sockCookie: undefined }),
    event({ type: 'connection.accepted' }),
  ];
  expect(seen.map((one) => repeats.has(one))).toEqual([
    ...[false, false, true, false, false, false, false, false, false, false, false],
  ]);
});
