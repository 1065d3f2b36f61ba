/** Outside bytes that are not the MessagePack the bus speaks. */
export class UnpackError extends Error {
  override readonly name = 'UnpackError';
}

/** Bytes of a value of one of these types. */
const fixedSizes: Readonly<Record<number, number>> = {
  ...{ 0xc0: 1, 0xc2: 1, 0xc3: 1, 0xca: 5, 0xcb: 9, 0xcc: 2, 0xcd: 3, 0xce: 5, 0xcf: 9 },
  ...{ 0xd0: 2, 0xd1: 3, 0xd2: 5, 0xd3: 9 },
};

/** Bytes of a value by its first one, where that tells; else 0. */
const sizes = Uint8Array.from({ length: 256 }, (_, token) => {
  if (token < 0x80 || token >= 0xe0) return 1;
  if (token >= 0xa0 && token < 0xc0) return 1 + (token & 0x1f);
  return fixedSizes[token] ?? 0;
});

/** Bytes of the length that follows the first byte: of texts and binaries, of arrays and of maps. */
const textLengths = new Map(
  [0xc4, 0xd9, 0xc5, 0xda, 0xc6, 0xdb].map((token, i) => [token, 1 << (i >> 1)]),
);

/**
 * Moves over a value without decoding it, and refuses what `unpack` would refuse.
 * @param depth how deep arrays and maps may be nested
 * @returns where the value ends
 * @throws UnpackError
 */
export function skip(bytes: Buffer, at: number, depth: number): number {
  const token = bytes[at] ?? 0;
  const size = sizes[token] ?? 0;
  if (size > 0) return within(bytes, at, at + size);
  const lengthBytes = textLengths.get(token);
  if (lengthBytes !== undefined) {
    const begin = within(bytes, at, at + 1 + lengthBytes);
    return within(bytes, at, begin + bytes.readUIntBE(at + 1, lengthBytes));
  }
  if (token < 0x90) return skipMap(bytes, at + 1, token & 0x0f, depth);
  if (token < 0xa0) return skipArray(bytes, at + 1, token & 0x0f, depth);
  if (token < 0xdc) throw unspoken(token, at);
  const wide = token & 1 ? 4 : 2;
  const begin = within(bytes, at, at + 1 + wide);
  const length = bytes.readUIntBE(at + 1, wide);
  return token < 0xde
    ? skipArray(bytes, begin, length, depth)
    : skipMap(bytes, begin, length, depth);
}

/** That the bus knows no such type. */
export function unspoken(token: number, at: number): UnpackError {
  return new UnpackError(`type 0x${token.toString(16)} at byte ${at} is not spoken here`);
}

function within(bytes: Buffer, at: number, end: number): number {
  if (end > bytes.length)
    throw new UnpackError(`${end - at} bytes announced at byte ${at} of ${bytes.length}`);
  return end;
}

function skipArray(bytes: Buffer, begin: number, length: number, depth: number): number {
  if (depth < 1) throw new UnpackError('nested too deep');
  let at = begin;
  for (let i = 0; i < length; i++) at = skip(bytes, at, depth - 1);
  return at;
}

function skipMap(bytes: Buffer, begin: number, length: number, depth: number): number {
  if (depth < 1) throw new UnpackError('nested too deep');
  let at = begin;
  for (let i = 0; i < length; i++) {
    const end = skip(bytes, at, 0);
    checkKey(bytes, at, end);
    at = skip(bytes, end, depth - 1);
  }
  return at;
}

function checkKey(bytes: Buffer, at: number, end: number): void {
  const token = bytes[at] ?? 0;
  const isText = (token >= 0xa0 && token < 0xc0) || (token >= 0xd9 && token <= 0xdb);
  if (!isText) throw new UnpackError('a map key is not a string');
  if (bytes[end - 9] === 0x5f && bytes.toString('latin1', at, end).endsWith('__proto__')) {
    const prefix = token < 0xc0 ? 1 : 1 + (textLengths.get(token) ?? 0);
    if (end - at - prefix === 9) throw new UnpackError('a map key is __proto__');
  }
}
