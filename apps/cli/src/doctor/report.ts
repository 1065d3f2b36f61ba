import { z } from 'zod';

/**
 * `ok`: as it should be; `note`: said for completeness; `warn`: something is missing or might be in the
 * way; `fail`: this keeps netstatd from capturing or from starting.
 */
const state = z.enum(['ok', 'note', 'warn', 'fail']);

const checkSchema = z.strictObject({
  group: z.enum(['kernel', 'rights', 'cgroups', 'containers', 'bus', 'ports', 'machine']),
  subject: z.string(),
  state,
  /** What was found. */
  text: z.string(),
  /** What to do about it. */
  remedy: z.string().optional(),
  /** What is not captured because of it. */
  gap: z.string().optional(),
});

const hookSchema = z.strictObject({
  /** Program of the BPF object, and what it is attached to. */
  name: z.string(),
  section: z.string(),
  state: z.enum(['attached', 'unsupported', 'failed', 'off', 'spare']),
  /** What is known by it. */
  gives: z.string(),
  /** Why it is not attached, as the kernel or libbpf says it. */
  reason: z.string().optional(),
  /** The hook that is attached in its place. */
  standIn: z.string().optional(),
  remedy: z.string().optional(),
});

/** What `netstatd doctor --json` prints; `v` grows with every change that a reader would notice. */
export const reportSchema = z.strictObject({
  v: z.literal(1),
  version: z.string(),
  /** Whether all, some or nothing can be captured here, and the exit code that says the same. */
  verdict: z.enum(['full', 'partial', 'none']),
  exitCode: z.int(),
  summary: z.string(),
  /** What is missing from a full capture. */
  gaps: z.array(z.string()),
  /** What `netstatd up` would do with the same environment. */
  up: z.strictObject({
    starts: z.boolean(),
    /** Where its connections would come from; absent when from nowhere. */
    source: z.enum(['bpf', 'procfs', 'replay']).optional(),
    obstacles: z.array(z.string()),
  }),
  /** As host.info names it: the hook that each kind of event comes from. Absent without BPF. */
  capture: z.record(z.string(), z.string()).optional(),
  /** Why no BPF program could be loaded. */
  captureError: z.strictObject({ code: z.string(), message: z.string() }).optional(),
  hooks: z.array(hookSchema),
  checks: z.array(checkSchema),
});

export type Report = z.infer<typeof reportSchema>;
export type Check = z.infer<typeof checkSchema>;
export type HookReport = z.infer<typeof hookSchema>;
