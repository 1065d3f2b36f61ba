import { Capture, CaptureError, type CaptureFiles } from '@netstatd/capture';
import { CgroupIndex, ProcFs, PROCFS_MISSES } from '@netstatd/procfs';
import { StartError, type Log } from '@netstatd/service';
import { bpfSource } from './bpf-source.ts';
import { ProcfsSource } from './procfs/procfs-source.ts';
import type { CollectorSettings } from './settings.ts';
import type { LiveSource } from './source.ts';

type Files = Pick<CaptureFiles, 'addonPath' | 'objectPath'>;

/**
 * Opens what `source` names; `auto` is the kernel where it can be asked, else /proc, with the reason in the log.
 * @throws StartError when bpf is asked for and cannot be had
 */
export function openLiveSource(settings: CollectorSettings, files: Files, log: Log): LiveSource {
  const { source, loopback, udp, pollMs, procRoot } = settings;
  if (source !== 'procfs') {
    try {
      return openBpf(settings, files, log);
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error;
      if (source === 'bpf') throw new StartError(error.message);
      const misses = PROCFS_MISSES.join(', ');
      log.warn(`${error.message}. Reading /proc instead, which does not show ${misses}`);
    }
  }
  const procfs = new ProcFs(procRoot);
  return new ProcfsSource({ procfs, cgroups: new CgroupIndex(), loopback, udp, pollMs });
}

function openBpf(settings: CollectorSettings, files: Files, log: Log): LiveSource {
  const { loopback, udp, ringBytes, flowIdleSeconds, without } = settings;
  const options = { loopback, udp, ringBytes, flowIdleMs: flowIdleSeconds * 1000 };
  const capture = openCapture({ ...files, options: { ...options, ...withoutHooks(without) } });
  for (const { name, section, state, reason } of Object.values(capture.hooks)) {
    if (state === 'failed') log.warn({ name, section, reason }, 'a hook was not attached');
    else log.debug({ name, section, state, reason }, 'hook');
  }
  return bpfSource(capture);
}

/** As an option of the capture, from the setting `without`. */
export function withoutHooks(names: string | undefined): { without?: string[] } {
  return names === undefined ? {} : { without: names.split(',') };
}

function openCapture(files: CaptureFiles): Capture {
  try {
    return Capture.open(files);
  } catch (error) {
    throw error instanceof RangeError ? new StartError(error.message) : error;
  }
}
