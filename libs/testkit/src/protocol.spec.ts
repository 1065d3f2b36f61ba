import type { NetstatdEvent } from '@netstatd/events';
import { ProtocolCheck } from './protocol.ts';

const event = (type: string, more: object = {}) =>
  ({ type, timestamp: '', nodeName: 'n', ...more }) as unknown as NetstatdEvent;
const connection = (state: string, more: object = {}) =>
  event('connection.event', { protocol: 'TCP', sockCookie: 1, state, ...more });
const complete = (connections = 0, containers = 0, ports = 0) =>
  event('snapshot.complete', { connections, containers, ports });

const problems = (...events: NetstatdEvent[]) => {
  const check = new ProtocolCheck({ announced: true, snapshot: true });
  for (const each of events) check.take(each);
  return check.problems.map((problem) => problem.split(':')[0]);
};

describe('ProtocolCheck', () => {
  const opening = [event('host.info'), complete()];

  it('has nothing against a stream as it should be', () => {
    expect(
      problems(
        event('host.info'),
        event('container.added', { containerUid: 'c' }),
        event('process.metainfo', { pid: 1, containerUid: 'c' }),
        connection('ESTABLISHED', { pid: 1, containerUid: 'c' }),
        complete(1, 1),
        connection('CLOSE', { pid: 1 }),
        event('stream.lagged', { dropped: 3 }),
        ...opening,
        connection('CLOSE'),
      ),
    ).toEqual([]);
  });

  it.each([
    ['a state twice', [...opening, connection('CLOSE'), connection('CLOSE')]],
    ['a state after CLOSE', [...opening, connection('CLOSE'), connection('ESTABLISHED')]],
    ['a process that was not announced', [...opening, connection('CLOSE', { pid: 7 })]],
    [
      'a container that was not announced',
      [...opening, connection('CLOSE', { containerUid: 'c' })],
    ],
    [
      'out of order in the opening',
      [event('host.info'), connection('CLOSE'), event('port.listening')],
    ],
    ['an opening that nothing announced', [...opening, ...opening]],
    [
      'a state twice',
      [
        ...[...opening, event('stream.lagged'), connection('CLOSE'), event('host.info')],
        ...[connection('CLOSE'), event('process.metainfo', { pid: 1 })],
      ],
    ],
    ['snapshot.complete counts what was not sent (0,0,0)', [event('host.info'), complete(1)]],
  ])('sees %s', (problem, events) => {
    expect(problems(...events)).toContain(problem);
  });
});
