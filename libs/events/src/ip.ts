import ipaddr from 'ipaddr.js';

/**
 * Addresses at the edge. There is one text form of an address everywhere in netstatd: IPv6 compressed and in
 * lower case as RFC 5952 has it (but never with dots), IPv4-mapped IPv6 as IPv4.
 */

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Remembered verdicts of one network; forgotten all at once when there are more addresses than this. */
const MAX_VERDICTS = 4096;

function parseAddress(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  const hex = text.includes(':') ? text.replace(/(?<=:)\d+(?:\.\d+){3}$/, dotsToHex) : '';
  if (!/^[0-9a-f:]{2,39}$/i.test(hex) || !ipaddr.IPv6.isValid(hex)) return undefined;
  return ipaddr.IPv6.parse(hex);
}

/** The last four bytes of an IPv6 address in dots; ipaddr.js would take `::1.2.3.4` for IPv4-mapped. */
function dotsToHex(quad: string): string {
  if (!ipaddr.IPv4.isValidFourPartDecimal(quad)) return quad;
  const [a = 0, b = 0, c = 0, d = 0] = ipaddr.IPv4.parse(quad).octets;
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}

function unmapped(address: Address): Address {
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress()
    ? address.toIPv4Address()
    : address;
}

/** The one text form of an address; undefined when the text is no address (zones are refused). */
export function canonicalIp(text: string): string | undefined {
  const address = parseAddress(text);
  return address && unmapped(address).toString();
}

/** Whether an address in the one text form is a loopback address (127.0.0.0/8, ::1). */
export function isLoopback(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1';
}

/** An address or a CIDR, ready for matching. */
export interface Network {
  /** Canonical text: the address alone, or the network's first address and its prefix length. */
  readonly text: string;
  /** Whether an address, in the one text form, lies in it. */
  contains(ip: string): boolean;
}

/**
 * Reads an address (`10.0.0.1`, `fe80::1`, `::ffff:10.0.0.1`) or a CIDR (`10.0.0.0/8`, host bits may be set);
 * undefined when the text is neither.
 */
export function parseNetwork(text: string): Network | undefined {
  const [addressText = '', lengthText, ...more] = text.split('/');
  const parsed = parseAddress(addressText);
  if (!parsed || more.length > 0) return undefined;
  if (lengthText !== undefined && !/^(0|[1-9]\d{0,2})$/.test(lengthText)) return undefined;
  const bits = parsed.toByteArray().length * 8;
  let length = lengthText === undefined ? bits : Number(lengthText);
  if (length > bits) return undefined;
  let address = parsed;
  if (length >= 96) {
    address = unmapped(parsed);
    if (address !== parsed) length -= 96;
  }
  if (length === address.toByteArray().length * 8) {
    const exact = address.toString();
    return { text: exact, contains: (ip) => ip === exact };
  }
  const first = firstAddress(address, length);
  return { text: `${first.toString()}/${length}`, contains: remembered(prefixTest(first, length)) };
}

function firstAddress(address: Address, length: number): Address {
  const bytes = address
    .toByteArray()
    .map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, length - index * 8))) & 0xff);
  return bytes.length === 4 ? new ipaddr.IPv4(bytes) : new ipaddr.IPv6(bytes);
}

function prefixTest(network: Address, length: number): (ip: string) => boolean {
  return (ip) => {
    const address = parseAddress(ip);
    return address?.kind() === network.kind() && address.match(network, length);
  };
}

function remembered(test: (ip: string) => boolean): (ip: string) => boolean {
  const verdicts = new Map<string, boolean>();
  return (ip) => {
    const known = verdicts.get(ip);
    if (known !== undefined) return known;
    const verdict = test(ip);
    if (verdicts.size >= MAX_VERDICTS) verdicts.clear();
    verdicts.set(ip, verdict);
    return verdict;
  };
}
