import type { Seen } from './seen.ts';

/** What the watching client says by itself. Times are milliseconds since 1970. */
export type Word =
  | { word: 'state'; events: number; malformed: number; peers: number; openings: number }
  | {
      word: 'lagged';
      /** Time of the last connection told before: what is missing came after it. */
      fromMs: number;
      atMs: number;
      place: string;
      dropped: number | undefined;
    }
  | { word: 'complete'; atMs: number }
  | { word: 'closed'; atMs: number; reason: string };

/** About a group, which may be forgotten then; without a key, about all that is open. */
export interface Question {
  id: number;
  key?: number;
  forget?: boolean;
}

export interface Answer {
  id: number;
  seen?: Seen;
  /** Group and number. */
  open?: [number, number][];
}
