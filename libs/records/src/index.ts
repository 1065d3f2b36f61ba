export * from './generated/layout.ts';
export { BatchReader, type BatchError, type ReadCounters } from './batch-reader.ts';
export {
  BATCH_HEAD_BYTES,
  markReplayed,
  readRecordedHead,
  silenceAfter,
  type RecordedHead,
} from './recorded.ts';
export { BatchWriter, type BatchFacts } from './batch-writer.ts';
export {
  encodeCgroup,
  encodeHost,
  encodeMark,
  encodeProcess,
  encodeSocket,
  type RecordHead,
} from './encode.ts';
export type { CgroupView, HostView, MarkView, ProcessView, SocketView } from './views.ts';
