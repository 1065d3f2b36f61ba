import ipaddr from 'ipaddr.js';

/** Addresses that a network namespace has, each once and in netstatd's one text form. */
export interface NetnsAddresses {
  /** All but the two kinds below. */
  readonly addresses: readonly string[];
  /** fe80::/10 and 169.254.0.0/16: good on one link only. */
  readonly linkLocal: readonly string[];
  /** 127.0.0.0/8 and ::1. */
  readonly loopback: readonly string[];
}

/** An address's one text form: IPv6 compressed and in lower case, IPv4-mapped as IPv4. Takes 4 or 16 bytes. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const address = new ipaddr.IPv6([...bytes]);
  return (address.isIPv4MappedAddress() ? address.toIPv4Address() : address).toString();
}

/** Collects a namespace's addresses from the lines of its two files; other lines are skipped. */
export class NetnsAddressReader {
  readonly #found = new Set<string>();
  /** The leaf of the trie whose routes follow. */
  #leaf: string | undefined;
  /** A namespace of somebody's making may have any number of addresses; so many are kept. */
  static readonly MAX = 4096;

  /** A line of fib_trie. The kernel keeps a local host route for each address that it answers to. */
  fibTrieLine(line: string): void {
    const leaf = /^ *\|-- (\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})$/.exec(line)?.[1];
    if (leaf !== undefined)
      this.#leaf = ipaddr.IPv4.isValidFourPartDecimal(leaf) ? leaf : undefined;
    else if (/^ *\/32 host LOCAL$/.test(line)) this.#add(this.#leaf);
    else if (!/^ *\/\d{1,2} /.test(line)) this.#leaf = undefined;
  }

  /** A line of if_inet6: address, index, prefix length, scope, flags, device, all but the last hexadecimal. */
  ifInet6Line(line: string): void {
    const digits = /^([0-9a-f]{32}) [0-9a-f]+ [0-9a-f]{2} [0-9a-f]{2} [0-9a-f]{2,8} /.exec(
      line,
    )?.[1];
    if (digits !== undefined) this.#add(addressText(Buffer.from(digits, 'hex')));
  }

  get result(): NetnsAddresses {
    const addresses: string[] = [];
    const linkLocal: string[] = [];
    const loopback: string[] = [];
    for (const text of [...this.#found].sort()) {
      if (text.startsWith('127.') || text === '::1') loopback.push(text);
      else if (text.startsWith('169.254.') || /^fe[89ab].:/.test(text)) linkLocal.push(text);
      else addresses.push(text);
    }
    return { addresses, linkLocal, loopback };
  }

  #add(text: string | undefined): void {
    if (text !== undefined && this.#found.size < NetnsAddressReader.MAX) this.#found.add(text);
  }
}
