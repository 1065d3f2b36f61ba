import { HealthServer, healthHandlers } from './health.ts';
import type { HealthHandlers } from './health.ts';
import { helpText } from './help.ts';
import { loadSettings } from './load-settings.ts';
import { createLog } from './log.ts';
import type { Log } from './log.ts';
import { Metrics, processMetrics } from './metrics.ts';
import { Readiness } from './readiness.ts';
import { commonSettings, portSetting } from './setting.ts';
import type { Setting, SettingSpecs, SettingsOf } from './setting.ts';
import { StartError } from './start-error.ts';
import { reportReadiness, tellParent } from './supervisor-channel.ts';
import { netstatdVersion } from './version.ts';

/** What a service is given to start with. */
export interface ServiceContext<S extends SettingSpecs> {
  settings: SettingsOf<S & typeof commonSettings>;
  log: Log;
  metrics: Metrics;
  ready: Readiness;
  /** The answers of the health paths, for a service that serves them itself. */
  health: HealthHandlers;
  version: string;
  /** Makes known on which ports the service listens (they may have been chosen by the system). */
  announce: (ports: Record<string, number>) => void;
  /** The service cannot go on: logs why, and ends the process with exit code 1. */
  fail: (error: unknown) => void;
}

/** A started service. */
export interface ServiceHandle {
  /** Lets go of everything, within 5 s. */
  stop: () => Promise<void>;
}

export interface ServiceDefinition<S extends SettingSpecs> {
  /** "collector", "enricher", … */
  name: string;
  /** One sentence for `--help`. */
  about: string;
  /** Settings beyond the common ones. */
  settings: S;
  /** Default port of the health server, or `own` when the service answers those paths itself. */
  health: number | 'own';
  start: (context: ServiceContext<S>) => Promise<ServiceHandle>;
}

/** From SIGTERM to the end: contract says 5 s, so the stop itself gets a little less. */
const STOP_LIMIT_MS = 4500;

/**
 * Runs one service as this process: settings, log, health, metrics, start, orderly stop.
 * Exit codes: 0 stopped orderly, 1 failed, 2 a wrong setting.
 */
export async function runService<S extends SettingSpecs>(
  definition: ServiceDefinition<S>,
): Promise<void> {
  const { name } = definition;
  const specs = { ...commonSettings, ...healthSettings(definition.health), ...definition.settings };
  const settings = settingsOrExit(`netstatd-${name}`, definition.about, specs);
  // What is there whatever S is; the compiler cannot see into a generic record.
  const own = settings as unknown as SettingsOf<typeof commonSettings> & { healthPort?: number };
  const log = createLog({ name, level: own.logLevel });

  const die = (error: unknown) => {
    if (error instanceof StartError) process.stderr.write(`netstatd-${name}: ${error.message}\n`);
    else log.fatal({ error }, 'failed');
    process.exit(1);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);

  const metrics = new Metrics();
  processMetrics(metrics, name, netstatdVersion);
  const ready = new Readiness();
  ready.set('start', false, 'starting');
  metrics.gaugeOf('netstatd_ready', '1 when the service can do its job', () => Number(ready.ready));
  const health = healthHandlers(ready, metrics);

  let handle: ServiceHandle | undefined;
  let server: HealthServer | undefined;
  let stopping = false;
  const stop = (reason: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ reason }, 'stopping');
    // Nothing to let go of before it has started: what it holds by then ends with the process.
    if (!handle) process.exit(0);
    setTimeout(() => {
      log.error({ afterMs: STOP_LIMIT_MS }, 'did not stop in time');
      process.exit(1);
    }, STOP_LIMIT_MS).unref();
    Promise.all([handle.stop(), server?.close()]).then(() => {
      log.info('stopped');
      process.exit(0);
    }, die);
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  if (process.connected) process.on('disconnect', () => stop('the supervisor is gone'));

  try {
    if (own.healthPort !== undefined) {
      server = await HealthServer.listen(health, own.healthPort);
      tellParent({ netstatd: 'ports', ports: { health: server.port } });
    }
    reportReadiness(ready);
    handle = await definition.start({
      settings,
      log,
      metrics,
      ready,
      health,
      version: netstatdVersion,
      announce: (ports) => tellParent({ netstatd: 'ports', ports }),
      fail: die,
    });
    ready.set('start', true);
    log.info({ version: netstatdVersion, healthPort: server?.port }, 'started');
  } catch (error) {
    die(error);
  }
}

function healthSettings(health: number | 'own'): Record<string, Setting<number>> {
  if (health === 'own') return {};
  const help = 'port on 127.0.0.1 of /healthz, /readyz and /metrics';
  return { healthPort: portSetting({ help, default: health }) };
}

function settingsOrExit<S extends SettingSpecs>(command: string, about: string, specs: S) {
  const args = process.argv.slice(2);
  if (args.includes('--help')) {
    process.stdout.write(helpText(command, about, specs));
    process.exit(0);
  }
  if (args.includes('--version')) {
    process.stdout.write(`${command} ${netstatdVersion}\n`);
    process.exit(0);
  }
  try {
    return loadSettings(specs, args, process.env);
  } catch (error) {
    process.stderr.write(`${command}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}
