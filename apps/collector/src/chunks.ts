import type { Chunk } from '@netstatd/capture';
import { BatchWriter } from '@netstatd/records';

/** Records of one chunk; as many as the kernel's reader hands over at once. */
const CHUNK_BYTES = 128 << 10;

/** Lays records end to end in chunks, as they come from the kernel's reader. */
export function chunksOf(records: readonly Uint8Array[]): Chunk[] {
  const chunks: Chunk[] = [];
  for (let from = 0; from < records.length;) {
    let to = from;
    let payloadBytes = 0;
    do payloadBytes += records[to++]?.byteLength ?? 0;
    while (to < records.length && payloadBytes + (records[to]?.byteLength ?? 0) <= CHUNK_BYTES);
    const buffer = Buffer.allocUnsafe(BatchWriter.headroom + payloadBytes);
    let at = BatchWriter.headroom;
    for (const record of records.slice(from, to)) {
      buffer.set(record, at);
      at += record.byteLength;
    }
    chunks.push({ buffer, payloadBytes, records: to - from });
    from = to;
  }
  return chunks;
}
