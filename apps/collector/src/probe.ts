import { Capture, CaptureError } from '@netstatd/capture';
import type { CaptureErrorCode, CaptureFiles, Hook } from '@netstatd/capture';

/** What became of the attempt to load and attach everything, as `--probe` prints it. */
export type ProbeResult =
  | { hooks: Hook[]; kinds: Record<string, string> }
  | { error: { code: CaptureErrorCode; message: string } };

/**
 * Opens the capture as the collector does by default (`NETSTATD_WITHOUT` counts), notes what each hook became, and closes it
 * again: nothing is recorded, and nothing stays.
 */
export function probe(files: CaptureFiles): ProbeResult {
  try {
    const capture = Capture.open(files);
    try {
      return { hooks: Object.values(capture.hooks), kinds: capture.captureKinds() };
    } finally {
      capture.close();
    }
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    const { code, message } = error;
    return { error: { code, message } };
  }
}
