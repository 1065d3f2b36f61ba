import type { Status } from './read-status.ts';
import { summary } from './read-status.ts';
import { statusTable } from './status-table.ts';

const service = {
  service: 'collector',
  version: '0.1.0',
  pid: 42,
  ready: true,
  silent: false,
  startedAt: '2025-01-31T12:00:00.000Z',
  counters: { records: 1234567, 'lost:bus': 0 },
};
const status: Status = {
  nodes: [
    {
      nodeName: 'n1',
      state: 'up',
      seen: 98765,
      lost: { kernel: 12, bus: 0 },
      services: [
        service,
        { ...service, service: 'enricher', ready: false, reason: 'the bus\n\u001b[31m is away' },
        { ...service, service: 'gateway', silent: true },
      ],
    },
    { nodeName: 'n2', state: 'lost', reason: 'silent', lost: {}, services: [] },
  ],
};

test('the table names nodes, services, losses and what has counted', () => {
  const now = Date.parse('2025-02-01T13:00:00Z');
  expect(statusTable(status, now)).toMatchInlineSnapshot(`
   "n1 is up, but not ready: enricher, gateway
     events 98,765
     lost   kernel 12, bus 0

     SERVICE    STATE      VERSION  PID  UP FOR
     collector  ready      0.1.0    42   1 d 1 h
     enricher   not ready  0.1.0    42   1 d 1 h  the bus\\x0a\\x1b[31m is away
     gateway    silent     0.1.0    42   1 d 1 h

     SERVICE    COUNTER  VALUE
     collector  records  1,234,567
     enricher   records  1,234,567
     gateway    records  1,234,567

   n2 is lost (silent)
     events unknown
     lost   none


   "
  `);
  expect(statusTable({ nodes: [] }, 0)).toBe('no node has been heard\n');
});

test('the summary counts over all nodes', () => {
  expect(summary(status)).toBe('1/3 services ready · 98,765 events · 12 lost at kernel');
  expect(summary({ nodes: [] })).toBe('0/0 services ready · 0 events · 0 lost');
});
