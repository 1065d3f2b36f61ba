import { Option } from 'commander';
import type { Command } from 'commander';
import { filterErrorText, filterParameters, parseFilter } from '@netstatd/events';
import { CommandError, exitCodes } from '../exit.ts';

/** Whether the opening state is asked for is the command's own matter. */
const parameters = filterParameters.filter(({ name }) => name !== 'snapshot');

/** Gives a command the filters of the WebSocket as flags of the same names, but for those of `without`. */
export function addFilterFlags(command: Command, without: readonly string[] = []): Command {
  for (const { name, description, allowed, repeatable } of parameters) {
    if (without.includes(name)) continue;
    const option = new Option(`--${name} <value>`, `${description} Allowed: ${allowed}.`);
    if (repeatable) {
      option.argParser((value: string, before?: string[]) => [...(before ?? []), value]);
    }
    command.addOption(option);
  }
  return command;
}

/**
 * The query of the WebSocket for the flags that were given.
 * @throws CommandError naming the flag, its value and what is allowed.
 */
export function filterQuery(options: Record<string, unknown>): [string, string][] {
  const query = parameters.flatMap(({ name }) => {
    const given = options[name] as string | string[] | undefined;
    return (given === undefined ? [] : [given].flat()).map((v): [string, string] => [name, v]);
  });
  const parsed = parseFilter(query);
  if ('error' in parsed) {
    throw new CommandError(`--${filterErrorText(parsed.error)}`, exitCodes.usage);
  }
  return query;
}
