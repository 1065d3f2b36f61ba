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
  hostRoot: textSetting({
    help: 'where the root directory of the host is mounted, for the sockets of container runtimes',
    default: '/',
    pattern: /^\/[^\0]*$/,
    allowed: 'an absolute path',
  }),
  containerdSocket: textSetting<string | undefined>({
    help: 'socket of the containerd to follow, and no other runtime; without it, all that are found',
    default: undefined,
    pattern: /^(unix:\/\/)?\/[^\0]*$/,
    allowed: 'an absolute path, or unix:// before one',
  }),
  containerWaitMs: integerSetting({
    help: 'ms that events of a container which no runtime has described yet wait for its names',
    default: 200,
    min: 0,
    max: 10_000,
  }),
  replay: switchSetting({
    help: 'the raw records are played from a recording, maybe of another machine',
    default: false,
  }),
};
