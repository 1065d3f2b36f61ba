import { pack, subjects } from '@netstatd/bus';
import type { SnapshotRequest } from '@netstatd/events';
import type { StreamBus } from './bus.ts';
import type { Page } from './message.ts';
import { MessageError, PROTOCOL_VERSION, readPage } from './message.ts';

/** What of a node's state is wanted; everything by default. */
export type SnapshotQuery = Omit<SnapshotRequest, 'v'>;

export interface SnapshotOptions {
  /** Longest wait for the first or the next page, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * Asks for the state of `node` and yields its pages, all of one instant, up to the last one.
 * Throws a BusError when nobody answers, the bus is away or the answer stops, and a
 * {@link MessageError} when the request is refused, a page is malformed or one is missing.
 */
export async function* requestSnapshot(
  bus: StreamBus,
  node: string,
  query: SnapshotQuery,
  options: SnapshotOptions,
): AsyncGenerator<Page, void, undefined> {
  const request = pack({ v: PROTOCOL_VERSION, ...query });
  let first: Page | undefined;
  let expected = 0;
  for await (const payload of bus.requestMany(subjects(node).snapshot, request, options)) {
    const page = readPage(payload);
    if (page instanceof MessageError) throw page;
    first ??= page;
    if (page.node !== node || page.epoch !== first.epoch || page.seq !== first.seq)
      throw new MessageError('the pages are of different snapshots');
    if (page.page !== expected++)
      throw new MessageError(`page ${expected - 1} of the snapshot is missing`);
    yield page;
    if (page.last) return;
  }
}
