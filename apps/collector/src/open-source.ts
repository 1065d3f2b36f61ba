import { Capture, CaptureError, type CaptureFiles } from '@netstatd/capture';
import { CgroupIndex, ProcFs } from '@netstatd/procfs';
import { StartError, type Log } from '@netstatd/service';
import { bpfSource } from './bpf-source.ts';
import { PROCFS_MISSES, ProcfsSource } from './procfs/procfs-source.ts';
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
      log.warn(`${error.message}. Reading /proc instead, which does not show ${PROCFS_MISSES}`);
    }
  }
  const procfs = new ProcFs(procRoot);
  return new ProcfsSource({ procfs, cgroups: new CgroupIndex(), loopback, udp, pollMs });
}

function openBpf(settings: CollectorSettings, files: Files, log: Log): LiveSource {
  const { loopback, udp, ringBytes, flowIdleSeconds } = settings;
  const flowIdleMs = flowIdleSeconds * 1000;
  const capture = Capture.open({ ...files, options: { loopback, udp, ringBytes, flowIdleMs } });
  for (const { name, section, state, reason } of Object.values(capture.hooks)) {
    if (state === 'failed') log.warn({ name, section, reason }, 'a hook was not attached');
    else log.debug({ name, section, state, reason }, 'hook');
  }
  return bpfSource(capture);
}
