import { printable } from '@netstatd/events';
import { z } from 'zod';
import { CommandError } from '../exit.ts';

/** What this program reads of `/api/status`; there is more in it. */
const statusSchema = z.object({
  nodes: z.array(
    z.object({
      nodeName: z.string(),
      state: z.string(),
      reason: z.string().optional(),
      seen: z.number().optional(),
      lost: z.record(z.string(), z.number()),
      services: z.array(
        z.object({
          service: z.string(),
          version: z.string(),
          pid: z.number(),
          ready: z.boolean(),
          reason: z.string().optional(),
          silent: z.boolean(),
          startedAt: z.string(),
          counters: z.record(z.string(), z.number()),
        }),
      ),
    }),
  ),
});
export type Status = z.infer<typeof statusSchema>;
export type NodeStatus = Status['nodes'][number];

const TIMEOUT_MS = 5000;

/**
 * Asks a gateway for its status.
 * @throws CommandError saying what is wrong and what to do.
 */
export async function readStatus(baseUrl: string, signal?: AbortSignal): Promise<Status> {
  const { body } = await fetchStatus(baseUrl, signal);
  const status = statusSchema.safeParse(body);
  if (status.success) return status.data;
  throw new CommandError(`${baseUrl} answers in another form; is it a netstatd of this version?`);
}

/** The answer as it is. */
export async function fetchStatus(
  baseUrl: string,
  signal?: AbortSignal,
): Promise<{ text: string; body: unknown }> {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(new URL('/api/status', baseUrl), {
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`it answers ${response.status}`);
    return { text, body: JSON.parse(text) as unknown };
  } catch (error) {
    const { message, cause } = error as Error & { cause?: { code?: string } };
    const why = printable(cause?.code ?? message);
    throw new CommandError(
      `no status from ${baseUrl} (${why}); start it by netstatd up, or name another by --url`,
    );
  }
}

/** Everything of the nodes in one short line. */
export function summary({ nodes }: Status): string {
  const services = nodes.flatMap((node) => node.services);
  const ready = services.filter((service) => service.ready && !service.silent).length;
  const seen = nodes.reduce((sum, node) => sum + (node.seen ?? 0), 0);
  const lost = nodes.flatMap((node) => Object.entries(node.lost)).filter(([, n]) => n > 0);
  const losses = lost.map(([place, n]) => `${grouped(n)} lost at ${printable(place)}`);
  return [
    `${ready}/${services.length} services ready`,
    `${grouped(seen)} events`,
    losses.join(', ') || '0 lost',
  ].join(' · ');
}

/** 1234567 → 1,234,567, whatever the language of the machine. */
export const grouped = (n: number) => n.toLocaleString('en-US');
