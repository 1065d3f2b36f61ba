import type { IncomingMessage } from 'node:http';

/** Why a request was not upgraded to a WebSocket. */
interface Refusal {
  readonly status: number;
  readonly reason: string;
  /** Asking again will not help. */
  readonly final: boolean;
}

const MAX_BODY_BYTES = 16 << 10;
const BODY_TIMEOUT_MS = 2000;
/** The request will be the same, its luck may not: timeout and too many requests. */
const passing = new Set([408, 429]);

/** Reads an answer's problem document (RFC 9457), or makes do with its status. Never rejects. */
export async function refusalOf(response: IncomingMessage): Promise<Refusal> {
  const status = response.statusCode ?? 0;
  const timer = setTimeout(() => response.destroy(), BODY_TIMEOUT_MS);
  let body = '';
  try {
    for await (const part of response) {
      body += String(part);
      if (body.length > MAX_BODY_BYTES) break;
    }
  } catch {
    // What has come is enough: the status says the rest.
  }
  clearTimeout(timer);
  const final = status >= 400 && status < 500 && !passing.has(status);
  return { status, reason: detailOf(body) ?? `the gateway answers ${status}`, final };
}

function detailOf(body: string): string | undefined {
  try {
    const { detail, title } = JSON.parse(body) as { detail?: unknown; title?: unknown };
    const text = detail ?? title;
    return typeof text === 'string' && text !== '' ? text.slice(0, 500) : undefined;
  } catch {
    return undefined;
  }
}
