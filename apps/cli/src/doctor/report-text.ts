import { inCells } from '../top/cells.ts';
import type { Check, HookReport, Report } from './report.ts';

const MARKS = { ok: '✓', note: ' ', warn: '!', fail: '✗' } as const;
const WORDS = { ok: 'ok', note: '', warn: 'look', fail: 'wrong' } as const;
const COLOURS = { ok: 32, note: 0, warn: 33, fail: 31 } as const;
type State = keyof typeof MARKS;

const TITLES: readonly (readonly [group: Check['group'], title: string])[] = [
  ['kernel', 'Kernel'],
  ['rights', 'Rights'],
  ['cgroups', 'Control groups'],
  ['containers', 'Container runtimes'],
  ['bus', 'Bus'],
  ['ports', 'Ports'],
  ['machine', 'Machine'],
];

/** The report for a person: with coloured marks on a terminal, in plain words elsewhere. */
export function reportText(report: Report, isTerminal: boolean): string {
  const mark = (state: State) =>
    isTerminal
      ? `\u001b[${COLOURS[state]}m${MARKS[state]}\u001b[0m`
      : inCells(WORDS[state], WORDS.fail.length);
  const width = Math.max(
    ...report.checks.map(({ subject }) => subject.length),
    ...report.hooks.map(({ name }) => name.length),
  );
  const line = (state: State, subject: string, text: string, remedy?: string) => [
    `  ${mark(state)} ${inCells(subject, width)}  ${text}`,
    ...(remedy === undefined ? [] : [`${' '.repeat(width + (isTerminal ? 6 : 10))}-> ${remedy}`]),
  ];
  const groups = TITLES.flatMap(([group, title]) => {
    const checks = report.checks.filter((check) => check.group === group);
    if (checks.length === 0) return [];
    return [
      title,
      ...checks.flatMap(({ state, subject, text, remedy }) => line(state, subject, text, remedy)),
      '',
    ];
  });
  const sections = Math.max(0, ...report.hooks.map(({ section }) => section.length));
  const hooks = report.hooks.flatMap((hook) =>
    line(
      hookState(hook),
      hook.name,
      `${inCells(hook.section, sections)}  ${hook.state}: ${hook.gives}` +
        (hook.reason === undefined ? '' : ` (${hook.reason})`) +
        (hook.standIn === undefined ? '' : `; ${hook.standIn} stands in for it`),
      hook.remedy,
    ),
  );
  const error = report.captureError;
  return [
    `netstatd ${report.version} doctor`,
    '',
    ...groups,
    'Hooks',
    ...(error ? line('fail', 'all of them', error.message) : hooks),
    '',
    report.summary,
    upText(report),
    '',
  ].join('\n');
}

const hookState = ({ state, standIn }: HookReport): State => {
  if (state === 'attached') return 'ok';
  return state === 'off' || state === 'spare' || standIn !== undefined ? 'note' : 'warn';
};

const SOURCES = {
  bpf: 'capture through BPF',
  procfs: 'poll /proc',
  replay: 'play its recording',
} as const;

function upText({ up: { starts, source, obstacles } }: Report): string {
  if (starts) return `netstatd up would start, and ${source ? SOURCES[source] : 'see nothing'}`;
  return `netstatd up would not start:\n${obstacles.map((each) => `  ${each}`).join('\n')}`;
}
