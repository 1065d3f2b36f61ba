export { Backoff } from './backoff.ts';
export type { BackoffOptions } from './backoff.ts';
export { healthHandlers, HealthServer, listenError } from './health.ts';
export type { HealthHandlers } from './health.ts';
export { helpText } from './help.ts';
export { flagOf, loadSettings, SettingError, variableOf } from './load-settings.ts';
export { createLog, LogOnce } from './log.ts';
export type { Log } from './log.ts';
export { Metrics } from './metrics.ts';
export type { Labels, Samples } from './metrics.ts';
export { problemJson, sendProblem } from './problem.ts';
export type { Problem } from './problem.ts';
export { quoted } from './quoted.ts';
export { Readiness } from './readiness.ts';
export { runService } from './run-service.ts';
export type { ServiceContext, ServiceDefinition, ServiceHandle } from './run-service.ts';
export {
  choiceSetting,
  commonSettings,
  integerSetting,
  logLevels,
  portSetting,
  switchSetting,
  textSetting,
} from './setting.ts';
export type { LogLevel, Setting, SettingSpecs, SettingsOf } from './setting.ts';
export { StartError } from './start-error.ts';
export type { ServiceMessage } from './supervisor-channel.ts';
export { netstatdVersion } from './version.ts';
