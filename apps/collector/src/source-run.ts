import type { Bus } from '@netstatd/bus';
import type { CaptureFiles } from '@netstatd/capture';
import { CgroupIndex, ProcFs } from '@netstatd/procfs';
import { LogOnce, StartError, type ServiceContext } from '@netstatd/service';
import { chunksOf } from './chunks.ts';
import { Collector } from './collector.ts';
import { openLiveSource } from './open-source.ts';
import { hostFacts } from './recording/host-facts.ts';
import { Player } from './recording/player.ts';
import { Recorder } from './recording/recorder.ts';
import { Recording, RecordingError } from './recording/recording.ts';
import type { collectorSettings } from './settings.ts';

type Context = ServiceContext<typeof collectorSettings>;

/** A source at work: what the rest of the service sees of it. */
export interface SourceRun {
  /** For `host.info`, the status and the page: `source`, the probe of each kind of event, and what is `missed`. */
  readonly capture: Record<string, string>;
  counters(): Record<string, number>;
  close(): Promise<void>;
}

/** A source that is open; its records go where `begin` is told. */
export interface OpenSource {
  begin(bus: Bus): SourceRun;
}

/**
 * Opens the source that the settings name, so that what cannot be had is said before anything else.
 * @throws StartError with one line that says what is wrong
 */
export function openSource(
  context: Context,
  files: Pick<CaptureFiles, 'addonPath' | 'objectPath'>,
): OpenSource {
  const { source, record } = context.settings;
  const path = /^replay:(.*)$/s.exec(source)?.[1];
  try {
    if (path === undefined) return openLive(context, files);
    if (record !== undefined) throw new RecordingError('a replay cannot be recorded');
    return openReplay(context, path);
  } catch (error) {
    throw error instanceof RecordingError ? new StartError(error.message) : error;
  }
}

function openLive(context: Context, files: Pick<CaptureFiles, 'addonPath' | 'objectPath'>) {
  const { settings, log, ready } = context;
  const recorder = openRecorder(context);
  const source = openLiveSource(settings, files, log);
  const capture = source.captureKinds();
  log.info({ capture }, 'source opened');
  const failures = new LogOnce(log);
  const recording = () => {
    const [procfs, cgroups] = [new ProcFs(settings.procRoot), new CgroupIndex()];
    return {
      facts: () => chunksOf(hostFacts(procfs, cgroups, capture)),
      onBatch: (batch: Uint8Array) => recorder?.write(batch),
    };
  };
  return {
    begin: (bus: Bus): SourceRun => {
      const collector = new Collector({
        ...{ bus, source, nodeName: settings.nodeName, sweepMs: settings.sweepMs },
        ...(recorder ? recording() : {}),
        onState: (part, reason) => {
          ready.set(part, reason === undefined, reason);
          if (reason === undefined) failures.over(part, `${part}: works again`);
          else failures.warn(part, { reason }, `${part}: failed`);
        },
      });
      return {
        capture,
        counters: () => ({ ...recorder?.counters, ...collector.counters() }),
        close: async () => {
          collector.close();
          await recorder?.close();
        },
      };
    },
  };
}

function openRecorder({ settings, log }: Context): Recorder | undefined {
  const { record: path, recordBytes: maxBytes } = settings;
  if (path === undefined) return undefined;
  return new Recorder({
    ...{ path, maxBytes },
    onEnd: (reason) => log.warn(`the recording ${path} has ended: ${reason}`),
  });
}

function openReplay({ settings, log, ready }: Context, path: string): OpenSource {
  const recording = new Recording(path);
  const { batches, records, durationMs, trouble } = recording.facts;
  const text = `${batches} batches, ${records} records, ${(durationMs / 1000).toFixed(1)} s`;
  log.info(`${path} holds ${text}`);
  if (trouble !== undefined) log.warn(`${path}: ${trouble}; what comes before is played`);
  const missed = 'what happens now: it is a recording that is played, maybe of another machine';
  return {
    begin: (bus) => {
      const player = new Player({
        ...{ bus, recording, nodeName: settings.nodeName },
        fast: settings.replaySpeed === 'full',
        onState: (state) => {
          ready.set('replay', state !== 'waiting', 'no reader has asked for the recording yet');
          if (state === 'ended') log.warn(`${path} has been played to its end; nothing follows`);
        },
      });
      return {
        capture: { source: 'replay', missed },
        counters: () => player.counters(),
        close: () => {
          player.close();
          return Promise.resolve();
        },
      };
    },
  };
}
