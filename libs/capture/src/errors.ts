/** Why the capture could not be opened, by what the user has to change. */
export type CaptureErrorCode =
  'NO_ADDON' | 'NO_BTF' | 'NO_RIGHTS' | 'NO_OBJECT' | 'OLD_KERNEL' | 'LOAD_FAILED';

const remedies: Record<CaptureErrorCode, string> = {
  NO_ADDON: 'build it (make -C libs/capture) and install libbpf (Debian: apt-get install libbpf1)',
  NO_BTF: 'boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as those of distributions are',
  NO_RIGHTS: 'run it as root (sudo), or give it these capabilities',
  NO_OBJECT: 'build it with make -C bpf',
  OLD_KERNEL: 'boot Linux 5.12 or newer',
  LOAD_FAILED: 'the kernel log (dmesg) and lockdown, seccomp or container settings may tell more',
};

/** The capture cannot be opened on this machine; the message says why and what to do, in one line. */
export class CaptureError extends Error {
  override readonly name = 'CaptureError';
  readonly code: CaptureErrorCode;

  constructor(code: CaptureErrorCode, reason: string) {
    super(`cannot capture: ${reason}; ${remedies[code]}`);
    this.code = code;
  }

  /** Gives an error of the addon or of the dynamic loader its code; other values are load failures. */
  static from(error: unknown, fallback: CaptureErrorCode): CaptureError {
    const { code, message } = error as { code?: unknown; message?: unknown };
    const known = typeof code === 'string' && code in remedies ? code : fallback;
    return new CaptureError(
      known as CaptureErrorCode,
      String(message ?? error).replace(/\n[^]*/, ''),
    );
  }
}
