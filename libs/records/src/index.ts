export * from './generated/layout.ts';
export { BatchReader, type BatchError, type ReadCounters } from './batch-reader.ts';
export { BatchWriter, type BatchFacts } from './batch-writer.ts';
export {
  encodeCgroup,
  encodeMark,
  encodeProcess,
  encodeSocket,
  type RecordHead,
} from './encode.ts';
export type { CgroupView, MarkView, ProcessView, SocketView } from './views.ts';
