import { columns, isLoopback, type EventRow, type EventType } from '@netstatd/events';
import type { Address } from './answers.ts';
import { reasonOf, type Missing } from './event-lists.ts';
import { ProblemError, unanswered } from './problems.ts';
import { pageOf, type ListQuery } from './query.ts';
import type { RestOptions } from './routes.ts';

const maxAddresses = 100_000;
const connection = columns['connection.event'];
const container = columns['container.added'];
const port = columns['port.listening'];
const host = columns['host.info'];

/** Gathers the addresses of one node out of its snapshot. */
class Addresses {
  readonly #node: string;
  readonly #byIp = new Map<string, Address>();
  /** Addresses that were not taken because there are too many. */
  refused = 0;

  constructor(node: string) {
    this.#node = node;
  }

  all(): Address[] {
    return [...this.#byIp.values()].sort((a, b) => (a.ip < b.ip ? -1 : 1));
  }

  /** Takes what a row says; rows about hosts and containers come before those of connections. */
  add(row: EventRow): void {
    switch (row[0]) {
      case 'host.info':
        for (const ip of texts(row[host.hostIPs])) this.#know(ip, 'host');
        break;
      case 'container.added':
        for (const ip of texts(row[container.podIPs])) {
          const address = this.#know(ip, 'pod');
          const uid = row[container.containerUid];
          if (address !== undefined && typeof uid === 'string') {
            (address.containerUids ??= []).push(uid);
          }
        }
        break;
      case 'port.listening': {
        for (const ip of [row[port.ip], ...texts(row[port.addresses])]) {
          const address = this.#of(ip);
          if (address !== undefined) address.listening += 1;
        }
        break;
      }
      case 'connection.event': {
        const local = row[connection.localIP];
        const remote = row[connection.remoteIP];
        const address = this.#of(remote);
        if (address !== undefined) {
          address.connections += 1;
          const what = row[connection.remote] as { kind?: Address['kind'] } | null | undefined;
          if (address.kind === undefined && what?.kind !== undefined) address.kind = what.kind;
          const hostname = row[connection.hostname];
          if (typeof hostname === 'string') address.hostname = hostname;
        }
        const own = local === remote ? undefined : this.#of(local);
        if (own !== undefined) own.connections += 1;
        break;
      }
    }
  }

  #know(ip: string, kind: 'host' | 'pod'): Address | undefined {
    const address = this.#of(ip);
    if (address !== undefined) address.kind ??= kind;
    return address;
  }

  #of(ip: unknown): Address | undefined {
    if (typeof ip !== 'string' || ip === '0.0.0.0' || ip === '::') return undefined;
    let address = this.#byIp.get(ip);
    if (address === undefined) {
      if (this.#byIp.size >= maxAddresses) {
        this.refused += 1;
        return undefined;
      }
      address = {
        nodeName: this.#node,
        ip,
        family: ip.includes(':') ? 6 : 4,
        ...(isLoopback(ip) ? { kind: 'loopback' } : {}),
        connections: 0,
        listening: 0,
      };
      this.#byIp.set(ip, address);
    }
    return address;
  }
}

const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];

/** The addresses of the view's nodes, found in their snapshots. */
export async function listAddresses(
  { view, turns }: Pick<RestOptions, 'turns' | 'view'>,
  query: ListQuery,
): Promise<{ items: Address[]; next?: string; missing?: Missing[] }> {
  const items: Address[] = [];
  const missing: Missing[] = [];
  const types: EventType[] = ['host.info', 'container.added', 'port.listening', 'connection.event'];
  for (const node of view.nodes().filter((each) => query.filter.wantsNode(each))) {
    const addresses = new Addresses(node);
    try {
      const request = { types, filter: query.filter };
      for await (const page of view.source(node).snapshot(request, turns)) {
        for (const row of page.rows) {
          if (query.filter.matches(row, node)) addresses.add(row);
        }
      }
    } catch (error) {
      if (view.kind === 'node') throw unanswered(node, reasonOf(error));
      missing.push({ nodeName: node, reason: reasonOf(error) });
      continue;
    }
    if (addresses.refused > 0) {
      missing.push({ nodeName: node, reason: `more than ${maxAddresses} addresses` });
    }
    items.push(...addresses.all());
    if (items.length > maxAddresses) {
      throw new ProblemError({ status: 503, detail: 'too many addresses: choose nodes by ?node=' });
    }
  }
  const page = pageOf(items, query);
  return missing.length > 0 ? { ...page, missing } : page;
}
