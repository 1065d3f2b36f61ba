import fc from 'fast-check';
import { arbitraryEvent } from './arbitrary-events.ts';
import { toLogLine } from './log.ts';
import type { ConnectionEvent } from './types.ts';
import { watchHeader, WatchLines } from './watch.ts';

/** A connection of which some fields are not known. */
function without(event: ConnectionEvent, ...names: (keyof ConnectionEvent)[]): ConnectionEvent {
  const known = Object.entries(event).filter(([name]) => !names.some((other) => other === name));
  return Object.fromEntries(known) as unknown as ConnectionEvent;
}

const connection: ConnectionEvent = {
  type: 'connection.event',
  timestamp: '2025-01-31T12:00:00.123456Z',
  nodeName: 'node-1',
  protocol: 'TCP',
  family: 4,
  state: 'ESTABLISHED',
  direction: 'outbound',
  sockCookie: 7,
  localIP: '10.0.0.1',
  localPort: 40000,
  remoteIP: '10.0.0.2',
  remotePort: 443,
  pid: 42,
  comm: 'curl',
  netns: 4026531840,
};
const ownerless = without(connection, 'pid', 'comm');
const log = (event: ConnectionEvent) =>
  JSON.parse(toLogLine(event) ?? 'null') as Record<string, unknown> | null;

describe('the connection log', () => {
  it('has CONNECT for an established outbound connection', () => {
    expect(
      log({ ...connection, containerUid: 'ab'.repeat(32), podName: 'p', namespace: 'n' }),
    ).toEqual({
      timestamp: '2025-01-31T12:00:00.123456Z',
      node: 'node-1',
      type: 'CONNECT',
      protocol: 'TCP',
      src_ip: '10.0.0.1',
      src_port: 40000,
      dst_ip: '10.0.0.2',
      dst_port: 443,
      pid: 42,
      process: 'curl',
      netns: 4026531840,
      container: { container_id: 'abababababab', pod_name: 'p', pod_namespace: 'n' },
      direction: 'outbound',
    });
  });

  it('has one ACCEPT, with the remote end as source, when the owner is known', () => {
    const inbound = { direction: 'inbound' } as const;
    const swapped = { type: 'ACCEPT', src_ip: '10.0.0.2', src_port: 443, dst_ip: '10.0.0.1' };
    expect(log({ ...connection, ...inbound })).toMatchObject(swapped);
    expect(log({ ...ownerless, ...inbound })).toBeNull();
    expect(log({ ...connection, ...inbound, type: 'connection.accepted' })).toMatchObject(swapped);
    expect(log({ ...ownerless, ...inbound, protocol: 'UDP' })).toMatchObject(swapped);
  });

  it('has CLOSE with counts, the reason of a failed connect included', () => {
    const closed = { ...connection, state: 'CLOSE', bytesSent: 0, durationMicros: 5 } as const;
    expect(log(closed)).toMatchObject({ type: 'CLOSE', bytes_sent: 0, duration_us: 5 });
    expect(log({ ...closed, direction: 'inbound' })).toMatchObject({ src_ip: '10.0.0.2' });
    expect(log({ ...closed, closeReason: 'refused' })).toMatchObject({ reason: 'refused' });
  });

  it('has nothing for other states', () => {
    expect(log({ ...connection, state: 'SYN_SENT' })).toBeNull();
    expect(log({ ...connection, state: 'FIN_WAIT1' })).toBeNull();
    expect(log(without(connection, 'direction'))).toBeNull();
  });

  it('is one line of JSON without null, whatever the event', () => {
    fc.assert(
      fc.property(arbitraryEvent(), (event) => {
        const line = toLogLine(event);
        if (!event.type.startsWith('connection.')) expect(line).toBeUndefined();
        if (line === undefined) return;
        // eslint-disable-next-line no-control-regex -- that none is there is the point
        expect(line).not.toMatch(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]/);
        expect(Object.values(JSON.parse(line) as object)).not.toContain(null);
      }),
    );
  });
});

describe('the watch line', () => {
  const watch = (...events: ConnectionEvent[]) => {
    const lines = new WatchLines();
    return events.flatMap((event) => lines.line(event) ?? []);
  };
  const connecting = { ...connection, state: 'SYN_SENT' } as const;
  const closed = { ...connection, state: 'CLOSE', closeReason: 'refused' } as const;

  it('comes once for a connection, when it is established', () => {
    const [line, ...more] = watch(connecting, connection, { ...closed, closeReason: 'local' });
    expect(line).toMatch(/^\d\d:00:00\.123 curl {13}42 {6}10\.0\.0\.1 {8}-> 10\.0\.0\.2:443$/);
    expect(more).toEqual([]);
    expect(watchHeader('process').indexOf('->')).toBe(line?.indexOf('->'));
  });

  it('names the pod and the container when asked to, and the process where there is no pod', () => {
    const pod = { ...connection, podName: 'cart-1', namespace: 'shop', containerName: 'app' };
    const lines = new WatchLines('pod');
    expect(lines.line(pod)).toMatch(/123 shop\/cart-1\/app +42 /);
    expect(lines.line(without(connection, 'podName'))).toMatch(/123 curl {37}42 /);
    expect(watchHeader('pod').indexOf('->')).toBe(lines.line(pod)?.indexOf('->'));
  });

  it('comes with the reason when a connect failed, and not when that is not known', () => {
    expect(watch(connecting, closed)).toEqual([expect.stringMatching(/10\.0\.0\.2:443 refused$/)]);
    expect(watch({ ...closed, closeReason: 'timeout' })).toEqual([]);
    expect(watch({ ...connecting, nodeName: 'other' }, closed)).toEqual([]);
  });

  it('leaves out what is no outgoing TCP connection', () => {
    expect(watch({ ...connection, direction: 'inbound' })).toEqual([]);
    expect(watch({ ...connection, protocol: 'UDP' })).toEqual([]);
    expect(watch({ ...connection, type: 'connection.accepted' })).toEqual([]);
  });

  it('puts IPv6 in brackets and a dash for what is not known', () => {
    const bare = without(ownerless, 'localIP');
    expect(watch({ ...bare, remoteIP: 'fe80::1' })).toEqual([
      expect.stringMatching(/ - {16}- {7}- {15}-> \[fe80::1\]:443$/),
    ]);
  });

  it('is one printable line, whatever the event', () => {
    fc.assert(
      fc.property(arbitraryEvent('connection.event'), (event) => {
        const e = event as ConnectionEvent;
        const shape = { protocol: 'TCP', direction: 'outbound' } as const;
        const lines = watch(
          { ...e, ...shape, state: 'SYN_SENT' },
          { ...e, ...shape, state: 'CLOSE' },
        );
        expect(lines).toHaveLength(1);
        expect(lines[0]).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
      }),
    );
  });

  it('forgets the oldest connect rather than growing', () => {
    const lines = new WatchLines();
    for (let sockCookie = 0; sockCookie <= 65536; sockCookie++)
      lines.line({ ...connecting, sockCookie });
    expect(lines.line({ ...closed, sockCookie: 0 })).toBeUndefined();
    expect(lines.line({ ...closed, sockCookie: 1 })).toMatch(/refused$/);
  });
});
