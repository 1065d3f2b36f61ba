import { hostname } from 'node:os';
import { z } from 'zod';

/** One thing that can be set: by `--flag`, else by an environment variable, else its default. */
export interface Setting<T> {
  /** Reads the text of a flag or a variable. */
  schema: z.ZodType<T>;
  /** The value when nothing is given. */
  default: T;
  /** What it does, with its unit, for `--help`. */
  help: string;
  /** What is allowed, in words: shown in `--help` and when a value is refused. */
  allowed: string;
  /** The variable's name; by default the setting's name in capitals (`nodeName` → `NODE_NAME`). */
  env?: string;
  /** A switch takes no value: `--loopback`, `--no-loopback`. */
  isSwitch?: boolean;
  /** May carry credentials: its value is never printed. */
  secret?: boolean;
}

/** Settings by name; names are camelCase, flags kebab-case, variables in capitals. */
export type SettingSpecs = Record<string, Setting<unknown>>;

/** The values that a set of settings yields. */
export type SettingsOf<S extends SettingSpecs> = {
  [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

type Options<T> = Pick<Setting<T>, 'help' | 'default'> & { env?: string };

/** Any text that matches `pattern`. */
export function textSetting<T extends string | undefined>(
  options: Options<T> & { pattern?: RegExp; allowed: string; secret?: boolean },
): Setting<T | string> {
  const { pattern = /^[^\0]+$/, ...rest } = options;
  return { ...rest, schema: z.string().regex(pattern) };
}

/** A whole number from `min` to `max`, both included. */
export function integerSetting(
  options: Options<number> & { min: number; max: number },
): Setting<number> {
  const { min, max, ...rest } = options;
  const schema = z
    .string()
    .regex(/^-?\d{1,15}$/)
    .transform(Number)
    .pipe(z.number().min(min).max(max));
  return { ...rest, schema, allowed: `a whole number from ${min} to ${max}` };
}

/** A TCP port to listen on; 0 lets the system choose. */
export function portSetting(options: Options<number>): Setting<number> {
  const allowed = 'a port from 1 to 65535, or 0 for any free one';
  return { ...integerSetting({ ...options, min: 0, max: 65535 }), allowed };
}

/** One of a few words. */
export function choiceSetting<const T extends string>(
  options: Options<T> & { choices: readonly T[] },
): Setting<T> {
  const { choices, ...rest } = options;
  return { ...rest, schema: z.enum(choices), allowed: choices.join(', ') };
}

/** Yes or no: `--name`, `--no-name`, or true/false/1/0 in the environment. */
export function switchSetting(options: Options<boolean>): Setting<boolean> {
  const schema = z
    .enum(['true', 'false', '1', '0'])
    .transform((text) => text === 'true' || text === '1');
  return { ...options, schema, allowed: 'true, false, 1, 0', isSwitch: true };
}

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

/** The settings that every service has. */
export const commonSettings = {
  nodeName: textSetting({
    help: 'name of this node in events and bus subjects',
    default: hostname(),
    pattern: /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,252}$/,
    allowed: 'letters, digits, - _ and . (at most 253)',
  }),
  natsUrl: textSetting({
    help: 'the bus',
    default: 'nats://127.0.0.1:4222',
    pattern: /^(nats|tls):\/\/[^\s,]+$/,
    allowed: 'nats://host:port or tls://host:port',
    secret: true,
  }),
  logLevel: choiceSetting({
    help: 'least severe log lines to write',
    default: 'info',
    choices: logLevels,
  }),
};
