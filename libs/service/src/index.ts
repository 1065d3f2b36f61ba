export { Backoff } from './backoff.ts';
export type { BackoffOptions } from './backoff.ts';
export { healthHandlers, listenError } from './health.ts';
export type { HealthHandlers } from './health.ts';
export { helpText } from './help.ts';
export { loadSettings, SettingError } from './load-settings.ts';
export { createLog, LogOnce } from './log.ts';
export type { Log } from './log.ts';
export { Metrics } from './metrics.ts';
export type { Labels } from './metrics.ts';
export { problemJson, sendProblem } from './problem.ts';
export type { Problem } from './problem.ts';
export { Readiness } from './readiness.ts';
export { runService } from './run-service.ts';
export type { ServiceContext, ServiceDefinition, ServiceHandle } from './run-service.ts';
export {
  choiceSetting,
  commonSettings,
  integerSetting,
  portSetting,
  switchSetting,
  textSetting,
} from './setting.ts';
export type { Setting, SettingsOf } from './setting.ts';
export { StartError } from './start-error.ts';
export type { ServiceMessage } from './supervisor-channel.ts';
export { netstatdVersion } from './version.ts';
