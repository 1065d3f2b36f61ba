import fc from 'fast-check';
import { Backoff } from './backoff.ts';
import { loadSettings, SettingError } from './load-settings.ts';
import { LogOnce } from './log.ts';
import { quoted } from './quoted.ts';
import { Readiness } from './readiness.ts';
import { commonSettings, integerSetting, switchSetting } from './setting.ts';

describe('LogOnce', () => {
  const lines: [string, object, string][] = [];
  const to = (level: string) => (fields: object, message: string) =>
    lines.push([level, fields, message]);
  const log = { info: to('info'), warn: to('warn'), error: to('error') };
  beforeEach(() => (lines.length = 0));

  test('the first is logged, repetitions become a count', () => {
    let now = 0;
    const once = new LogOnce(log as never, { everyMs: 1000, now: () => now });
    for (; now < 2500; now += 100) once.warn('bus', { a: 1 }, 'away');
    once.over('bus', 'back');
    once.over('bus', 'back');
    expect(lines).toEqual([
      ['warn', { a: 1 }, 'away'],
      ['warn', { a: 1, suppressed: 9 }, 'away'],
      ['warn', { a: 1, suppressed: 9 }, 'away'],
      ['info', { suppressed: 4 }, 'back'],
    ]);
  });

  test('keys are bounded: the oldest is forgotten', () => {
    const once = new LogOnce(log as never, { now: () => 0 });
    for (let i = 0; i < 300; i++) once.error(String(i), {}, 'x');
    once.error('299', {}, 'x');
    once.error('0', {}, 'x');
    expect(lines).toHaveLength(301);
  });
});

test('Backoff doubles to its maximum, is cut by jitter and starts again', () => {
  const backoff = new Backoff({ baseMs: 100, maxMs: 1000, jitter: 0.5, random: () => 0.5 });
  expect([1, 2, 3, 4, 5, 6].map(() => backoff.next())).toEqual([75, 150, 300, 600, 750, 750]);
  backoff.reset();
  expect(backoff.next()).toBe(75);
});

test('an aborted wait resolves at once', async () => {
  await new Backoff({ baseMs: 1e6, maxMs: 1e6 }).wait(AbortSignal.abort());
});

test('Readiness tells changes only', () => {
  const ready = new Readiness();
  const listener = jest.fn();
  const stop = ready.onChange(listener);
  ready.set('bus', false, 'away');
  ready.set('bus', false, 'away');
  expect([ready.ready, ready.reasons()]).toEqual([false, { bus: 'away' }]);
  ready.set('bus', true);
  stop();
  ready.set('bus', false);
  expect(listener).toHaveBeenCalledTimes(2);
});

test('whatever is given, settings are in range or one printable line refuses them', () => {
  const specs = {
    ...commonSettings,
    size: integerSetting({ help: '', default: 1, min: -5, max: 4096 }),
    udp: switchSetting({ help: '', default: true }),
  };
  const flag = fc.constantFrom('--size', '--udp', '--no-udp', '--node-name', '--log-level=');
  const arg = fc.oneof(flag, fc.string({ unit: 'binary' }), fc.integer().map(String));
  fc.assert(
    fc.property(fc.array(arg), fc.string(), (args, env) => {
      try {
        const { size, udp } = loadSettings(specs, args, { SIZE: env, NODE_NAME: 'n' });
        expect(Number.isInteger(size) && size >= -5 && size <= 4096).toBe(true);
        expect(typeof udp).toBe('boolean');
      } catch (error) {
        expect(error).toBeInstanceOf(SettingError);
        // eslint-disable-next-line no-control-regex
        expect((error as Error).message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/);
      }
    }),
  );
});

test('quoted text is bounded', () => {
  expect(quoted('x'.repeat(1000)).length).toBeLessThan(130);
});
