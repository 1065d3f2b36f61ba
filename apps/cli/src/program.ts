import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { watchNames, type WatchName } from '@netstatd/events';
import { netstatdVersion } from '@netstatd/service';
import { doctor } from './doctor/doctor.ts';
import { CommandError, exitCodes } from './exit.ts';
import { addFilterFlags } from './follow/filter-flags.ts';
import { followEvents } from './follow/follow.ts';
import { logForm, watchForm } from './follow/forms.ts';
import { showStatus } from './status/status.ts';
import { groupings } from './top/groups.ts';
import { top } from './top/top.ts';
import type { TopOptions } from './top/top.ts';
import { up, upHelp } from './up/up.ts';

const EXIT_CODES = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 ended by a second Ctrl+C.
Diagnostics are on stderr, data is on stdout.`;

const DOCTOR_CODES = `
It looks with the rights and the environment that it is given, as netstatd up would. The programs that
it tries are attached for a moment; nothing stays behind.
Exit codes: 0 full capture is possible, 3 partial, 4 none; 1 failed, 2 wrong usage.`;

const REPEATABLE = 'A filter may be repeated for alternatives.';

type FollowOptions = Record<string, unknown> & { url: string };

/** Runs one command line; resolves with the exit code. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  let code: number = exitCodes.ok;
  const program = new Command('netstatd')
    .description('Every connection of this machine, with its owner, live.')
    .version(netstatdVersion)
    .enablePositionalOptions()
    .addHelpText('after', EXIT_CODES)
    .showHelpAfterError('(netstatd --help lists commands, netstatd COMMAND --help its flags)')
    .exitOverride();

  // The settings of `up` are read as the services read theirs: flags, else environment, else default.
  const upCommand = program
    .command('up')
    .description('start everything on this machine, until Ctrl+C')
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .passThroughOptions()
    .argument('[settings...]')
    .action(async (settings: string[]) => {
      code = await up(settings);
    });
  upCommand.helpInformation = upHelp;
  const following = (name: string, description: string) =>
    addFilterFlags(program.command(name).description(description))
      .option(...conntrackUrl)
      .addHelpText('after', `\n${REPEATABLE}${EXIT_CODES}`);
  following('watch', 'print a line for every outgoing TCP connection, live')
    .addOption(
      new Option('--name-by <what>', 'what a line names').choices(watchNames).default('process'),
    )
    .action(async (options: FollowOptions & { nameBy: WatchName }) => {
      code = await followEvents(watchForm(options.nameBy), options);
    });
  following('log', 'print the JSON connection log, live').action(async (options: FollowOptions) => {
    code = await followEvents(logForm(), options);
  });
  // What it shows is made of certain types of events, whatever else there is.
  addFilterFlags(program.command('top').description('a live table of who talks to whom'), ['type'])
    .option(...conntrackUrl)
    .addOption(
      new Option('--group <what>', 'what a row stands for').choices(groupings).default('process'),
    )
    .option('--sort <column>', 'the column to sort by, in lower case as --group has them')
    .option('--reverse', 'in the other order')
    .option('--once', 'print the table once; without a terminal it always is')
    .addHelpText('after', `\n${REPEATABLE} ? lists the keys.${EXIT_CODES}`)
    .action(async (options: TopOptions) => {
      code = await top(options);
    });
  program
    .command('status')
    .description('show counters and losses of every node')
    .option('--url <url>', 'a gateway', httpUrl, 'http://127.0.0.1:5280')
    .option('--json', 'as the JSON that the gateway answers')
    .addHelpText('after', EXIT_CODES)
    .action(async (options: { url: string; json?: boolean }) => {
      code = await showStatus(options);
    });

  program
    .command('doctor')
    .description('say what this machine can capture, what it cannot, and why')
    .option('--json', 'as JSON, whose shape docs/operations.md has')
    .addHelpText('after', DOCTOR_CODES)
    .action(async (options: { json?: boolean }) => {
      code = await doctor(options);
    });

  try {
    await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    // What commander refuses it has told already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
    if (!(error instanceof CommandError)) throw error;
    process.stderr.write(`netstatd: ${error.message}\n`);
    return error.code;
  }
}

const webSocketUrl = (text: string) => urlOf(text, ['ws:', 'wss:'], 'ws://host:port/conntrack');
const httpUrl = (text: string) => urlOf(text, ['http:', 'https:'], 'http://host:port');

const conntrackUrl = [
  '--url <url>',
  'WebSocket of a gateway',
  webSocketUrl,
  'ws://127.0.0.1:5280/conntrack',
] as const;

function urlOf(text: string, protocols: string[], allowed: string): string {
  if (URL.canParse(text) && protocols.includes(new URL(text).protocol)) return text;
  throw new InvalidArgumentError(`Allowed: ${allowed}.`);
}
