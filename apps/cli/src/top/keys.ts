import { columnsOf } from './columns.ts';
import { groupings } from './groups.ts';
import type { Choice } from './view.ts';

/** A key as node:readline tells it. */
export interface Key {
  readonly name?: string | undefined;
  readonly sequence?: string | undefined;
  readonly ctrl?: boolean | undefined;
}

/** What happens outside the table. */
export type Command = 'quit' | 'suspend';

const MAX_SEARCH = 64;

/**
 * The choice after a key, or what else it asks for; the same choice for a key without a meaning.
 * `page` is how many rows are shown at once, `rows` how many there are.
 */
export function pressed(choice: Choice, key: Key, page: number, rows: number): Choice | Command {
  if (key.ctrl) {
    if (key.name === 'c') return 'quit';
    return key.name === 'z' ? 'suspend' : choice;
  }
  if (choice.typing) return typed(choice, key);
  const scrollTo = (to: number): Choice => ({
    ...choice,
    scroll: Math.max(0, Math.min(to, rows - page)),
  });
  const { scroll } = choice;
  switch (key.name) {
    case 'up':
      return scrollTo(scroll - 1);
    case 'down':
      return scrollTo(scroll + 1);
    case 'pageup':
      return scrollTo(scroll - page);
    case 'pagedown':
    case 'space':
      return scrollTo(scroll + page);
    case 'home':
      return scrollTo(0);
    case 'end':
      return scrollTo(rows);
    case 'escape':
      return { ...choice, search: '', help: false };
    default:
  }
  switch (key.sequence) {
    case 'k':
      return scrollTo(scroll - 1);
    case 'j':
      return scrollTo(scroll + 1);
    case 'q':
      return 'quit';
    case 's':
      return { ...choice, sort: neighbour(sortsOf(choice), choice.sort, 1) };
    case 'S':
      return { ...choice, sort: neighbour(sortsOf(choice), choice.sort, -1) };
    case 'r':
      return { ...choice, reverse: !choice.reverse };
    case 'g': {
      const by = neighbour(groupings, choice.by, 1);
      return { ...choice, by, sort: defaultSort(by), scroll: 0, paused: false };
    }
    case '/':
      return { ...choice, typing: true, help: false };
    case 'p':
      return { ...choice, paused: !choice.paused };
    case '?':
      return { ...choice, help: !choice.help };
    default:
      return choice;
  }
}

/** By what a grouping is sorted when nobody says otherwise: the busiest, the youngest. */
export const defaultSort = (by: Choice['by']) => (by === 'connection' ? 'age' : 'rate');

function typed(choice: Choice, { name, sequence = '' }: Key): Choice {
  if (name === 'return' || name === 'enter') return { ...choice, typing: false };
  if (name === 'escape') return { ...choice, typing: false, search: '' };
  if (name === 'backspace') {
    return { ...choice, search: choice.search.replace(/.$/u, '') };
  }
  const isText = /^\P{C}+$/u.test(sequence) && choice.search.length < MAX_SEARCH;
  return isText ? { ...choice, search: choice.search + sequence, scroll: 0 } : choice;
}

const sortsOf = ({ by }: Choice) => columnsOf(by).map(({ id }) => id);

function neighbour<T>(all: readonly T[], one: T, step: 1 | -1): T {
  return all[(all.indexOf(one) + step + all.length) % all.length] ?? one;
}
