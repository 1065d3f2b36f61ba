/** Where the bus is and how to log in, out of a `NATS_URL`. */
export interface BusAddress {
  /** `host:port` of each server. */
  readonly servers: string[];
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  readonly tls: boolean;
}

/**
 * Parses `nats://[user:password@|token@]host[:port]`, several separated by commas (the first
 * one's credentials count), `tls://` for TLS. Throws a RangeError that says what is wrong,
 * without repeating credentials.
 */
export function parseBusUrl(url: string): BusAddress {
  const servers: string[] = [];
  let first: URL | undefined;
  for (const part of url.split(',')) {
    let parsed: URL;
    try {
      parsed = new URL(part.trim());
    } catch {
      throw new RangeError('the bus URL is not of the form nats://host:port');
    }
    if (parsed.protocol !== 'nats:' && parsed.protocol !== 'tls:')
      throw new RangeError(
        `the bus URL begins with ${parsed.protocol}// instead of nats:// or tls://`,
      );
    if (parsed.hostname === '') throw new RangeError('the bus URL names no host');
    servers.push(`${parsed.hostname}:${parsed.port === '' ? '4222' : parsed.port}`);
    first ??= parsed;
  }
  const user = decodeURIComponent(first?.username ?? '');
  const pass = decodeURIComponent(first?.password ?? '');
  const login = user === '' ? {} : pass === '' ? { token: user } : { user, pass };
  return { servers, ...login, tls: first?.protocol === 'tls:' };
}
