import type { Setting, SettingSpecs, SettingsOf } from './setting.ts';
import { quoted } from './quoted.ts';

/** A flag or value that is not allowed; the message is one line, ready to be shown. */
export class SettingError extends Error {
  override readonly name = 'SettingError';
}

/** `nodeName` → `--node-name`. */
export const flagOf = (name: string) => `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;

/** The variable of a setting: its own `env`, or `nodeName` → `NODE_NAME`. */
export const variableOf = (name: string, setting: Pick<Setting<unknown>, 'env'>) =>
  setting.env ?? flagOf(name).slice(2).replaceAll('-', '_').toUpperCase();

/**
 * Takes each setting from flags, else from the environment, else its default.
 * An empty variable counts as not set; of a repeated flag the last one counts.
 * @throws SettingError naming the setting, the value and what is allowed.
 */
export function loadSettings<S extends SettingSpecs>(
  specs: S,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): SettingsOf<S> {
  const given = readFlags(specs, args);
  const values = Object.entries(specs).map(([name, setting]) => {
    const flag = given.get(name);
    if (flag !== undefined) return [name, readValue(flagOf(name), setting, flag)];
    const variable = env[variableOf(name, setting)];
    if (variable) return [name, readValue(variableOf(name, setting), setting, variable)];
    // A default may come from the machine (the host's name), so it is held to the same rule.
    const fallback = setting.default;
    return [
      name,
      typeof fallback === 'string' ? readValue(flagOf(name), setting, fallback) : fallback,
    ];
  });
  return Object.fromEntries(values) as SettingsOf<S>;
}

function readFlags(specs: SettingSpecs, args: readonly string[]): Map<string, string> {
  const byFlag = new Map(Object.keys(specs).map((name) => [flagOf(name), name]));
  const given = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    if (!arg.startsWith('--')) throw new SettingError(`unexpected argument ${quoted(arg)}`);
    const equals = arg.indexOf('=');
    const flag = equals < 0 ? arg : arg.slice(0, equals);
    const inline = equals < 0 ? undefined : arg.slice(equals + 1);
    const negated = flag.startsWith('--no-') ? byFlag.get(`--${flag.slice(5)}`) : undefined;
    if (negated && specs[negated]?.isSwitch && inline === undefined) {
      given.set(negated, 'false');
      continue;
    }
    const name = byFlag.get(flag);
    const setting = name === undefined ? undefined : specs[name];
    if (name === undefined || !setting) throw unknownFlag(flag, specs);
    const value = inline ?? (setting.isSwitch ? 'true' : args[++i]);
    if (value === undefined) {
      throw new SettingError(`${flag} needs a value; allowed: ${setting.allowed}`);
    }
    given.set(name, value);
  }
  return given;
}

function readValue(source: string, setting: Setting<unknown>, text: string): unknown {
  const result = setting.schema.safeParse(text);
  if (result.success) return result.data;
  const shown = setting.secret ? 'the value given' : quoted(text);
  throw new SettingError(`${source}: ${shown} is not allowed; allowed: ${setting.allowed}`);
}

function unknownFlag(flag: string, specs: SettingSpecs): SettingError {
  const known = Object.entries(specs).flatMap(([name, { isSwitch }]) =>
    isSwitch ? [flagOf(name), flagOf(name).replace('--', '--no-')] : [flagOf(name)],
  );
  const all = [...known, '--help', '--version'];
  const [nearest = '--help'] = all.sort((a, b) => distance(flag, a) - distance(flag, b));
  return new SettingError(
    `${quoted(flag)} is not a setting; the nearest is ${nearest}, --help lists all`,
  );
}

/** Levenshtein's edit distance, on at most the first 64 characters. */
function distance(from: string, to: string): number {
  const a = from.slice(0, 64);
  const b = to.slice(0, 64);
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replace, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
  }
  return row[b.length] ?? 0;
}
