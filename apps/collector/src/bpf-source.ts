import type { Capture } from '@netstatd/capture';
import type { LiveSource } from './source.ts';

/** The kernel's own records. */
export function bpfSource(capture: Capture): LiveSource {
  return {
    headroom: capture.headroom,
    captureKinds: () => ({ source: 'bpf', ...capture.captureKinds() }),
    start: (listener) => capture.start(listener),
    snapshot: () => capture.snapshot(),
    sweepFlows: () => capture.sweepFlows(),
    stats: () => {
      const { lost, ringBytesUsed, blocked, oversize } = capture.stats();
      const { flowTableSize: flowsLimit } = capture;
      return { lost, ringBytesUsed, readerBlocked: blocked, oversize, flowsLimit };
    },
    wallOffsetNs: () => capture.wallOffsetNs(),
    close: () => capture.close(),
  };
}
