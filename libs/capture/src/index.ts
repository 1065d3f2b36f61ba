export { loadAddon } from './addon.ts';
export type { CaptureStats, Chunk, Hook } from './addon.ts';
export { Capture } from './capture.ts';
export type { CaptureFiles, CaptureOptions, ChunkListener } from './capture.ts';
export { CaptureError } from './errors.ts';
export type { CaptureErrorCode } from './errors.ts';
