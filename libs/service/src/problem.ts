import { STATUS_CODES } from 'node:http';
import type { ServerResponse } from 'node:http';

/** An error answer after RFC 9457 (problem details), with extension members beside `detail`. */
export interface Problem {
  status: number;
  detail: string;
  [extension: string]: unknown;
}

/** The body of a problem document; `type` is about:blank, so `title` is the status's own text. */
export function problemJson({ status, ...rest }: Problem): string {
  return JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status, ...rest });
}

/** Answers with a problem document. */
export function sendProblem(response: ServerResponse, problem: Problem): void {
  response.statusCode = problem.status;
  response.setHeader('content-type', 'application/problem+json');
  response.setHeader('cache-control', 'no-store');
  response.end(problemJson(problem));
}
