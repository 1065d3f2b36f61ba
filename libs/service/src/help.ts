import { flagOf, variableOf } from './load-settings.ts';
import type { SettingSpecs } from './setting.ts';

/** The text of `--help`: every setting with its flag, variable, default and allowed values. */
export function helpText(command: string, about: string, specs: SettingSpecs): string {
  const settings = Object.entries(specs).flatMap(([name, setting]) => {
    const flag = setting.isSwitch
      ? `${flagOf(name)}, ${flagOf(name).replace('--', '--no-')}`
      : `${flagOf(name)} VALUE`;
    const fallback = `${(setting.default ?? 'not set') as string | number | boolean}`;
    return [
      `  ${flag}`,
      `      ${setting.help}`,
      `      env ${variableOf(name, setting)}; default ${fallback}; allowed: ${setting.allowed}`,
    ];
  });
  return [
    `Usage: ${command} [settings]`,
    '',
    about,
    '',
    'Settings, taken from flags, else from the environment, else their default:',
    ...settings,
    '  --help',
    '  --version',
    '',
    'Exit codes: 0 stopped orderly, 1 failed, 2 a wrong setting.',
    '',
  ].join('\n');
}
