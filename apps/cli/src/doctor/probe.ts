import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { printable } from '@netstatd/events';
import { z } from 'zod';

/** What the collector prints when it is asked to try everything (`--probe`). */
const probeSchema = z.union([
  z.object({
    hooks: z.array(
      z.object({
        name: z.string(),
        section: z.string(),
        state: z.enum(['attached', 'unsupported', 'failed', 'off', 'spare']),
        reason: z.string().optional(),
        standIn: z.string().optional(),
      }),
    ),
    kinds: z.record(z.string(), z.string()),
  }),
  z.object({ error: z.object({ code: z.string(), message: z.string() }) }),
]);

export type Probe = z.infer<typeof probeSchema>;
export type ProbedHook = Extract<Probe, { hooks: unknown }>['hooks'][number];

/** Loading some forty programs takes a moment on a machine that is emulated. */
const TIMEOUT_MS = 8000;
const MAX_OUTPUT = 1 << 20;

/**
 * Has the collector load and attach all that this kernel supports, in a process of its own: a crash, a
 * missing library or a kernel that does not answer is what was to be found out. Never rejects.
 */
export async function probeCapture(distDir: string, timeoutMs = TIMEOUT_MS): Promise<Probe> {
  const child = spawn(process.execPath, [join(distDir, 'collector', 'main.js'), '--probe'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] = (said[name] + text).slice(0, MAX_OUTPUT);
    });
  }
  const how = await new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => {
      if (signal === 'SIGKILL' && child.killed) resolve(`no answer within ${timeoutMs / 1000} s`);
      else if (signal !== null) resolve(`crashed (${signal})`);
      else resolve(code === 0 ? undefined : `ended with ${code}`);
    });
  });
  const probe = how === undefined ? probeSchema.safeParse(parsed(said.stdout)) : undefined;
  if (probe?.success) return probe.data;
  const why = said.stderr.split('\n').find((line) => /error|cannot/i.test(line)) ?? '';
  const message = `the probe of the kernel ${how ?? 'answers in another form'}`;
  return {
    error: { code: 'PROBE_FAILED', message: printable(why ? `${message}: ${why}` : message) },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
