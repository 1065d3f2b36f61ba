import { integerSetting, switchSetting, textSetting } from '@netstatd/service';

/** Settings of the enricher beyond those that every service has. */
export const enricherSettings = {
  acceptWaitMs: integerSetting({
    help: 'ms that the ESTABLISHED of an inbound connection waits for the process that accepts it',
    default: 100,
    min: 0,
    max: 10_000,
  }),
  procRoot: textSetting({
    help: 'where the /proc of the host is mounted',
    default: '/proc',
    pattern: /^\/[^\0]*$/,
    allowed: 'an absolute path',
  }),
  replay: switchSetting({
    help: 'the raw records are played from a recording, maybe of another machine',
    default: false,
  }),
};
