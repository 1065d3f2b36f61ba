const OPEN_PARENTHESIS = 0x28;
const CLOSE_PARENTHESIS = 0x29;

/** The fields of /proc/<pid>/stat that netstatd uses, proc_pid_stat(5). */
export interface ProcessStat {
  readonly pid: number;
  /** Name as the kernel has it: up to 15 bytes, which may hold anything, newlines and parentheses included. */
  readonly comm: string;
  readonly ppid: number;
  /** Start in clock ticks (10 ms) since boot: with the pid, the identity of a process. */
  readonly startTicks: number;
}

/**
 * Parses /proc/<pid>/stat. The name stands in parentheses and may itself hold any of `) (\n`, so it ends at the
 * last closing parenthesis; what follows is numbers. Anything else gives undefined.
 */
export function parseStat(bytes: Buffer): ProcessStat | undefined {
  const open = bytes.indexOf(OPEN_PARENTHESIS);
  const close = bytes.lastIndexOf(CLOSE_PARENTHESIS);
  if (open < 2 || close <= open) return undefined;
  const pid = wholeNumber(bytes.toString('latin1', 0, open - 1));
  // After the name: state, ppid, … and starttime as the 22nd field of the line.
  const rest = bytes.toString('latin1', close + 2).split(' ', 21);
  const ppid = wholeNumber(rest[1]);
  const startTicks = wholeNumber(rest[19]);
  if (pid === undefined || ppid === undefined || startTicks === undefined) return undefined;
  return { pid, comm: bytes.toString('utf8', open + 1, close), ppid, startTicks };
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
