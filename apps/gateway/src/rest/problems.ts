import type { Problem } from '@netstatd/service';

/** An answer other than success: what the client is told, as an RFC 9457 document. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly problem: Problem;
  readonly headers: Readonly<Record<string, string>>;

  constructor(problem: Problem, headers: Readonly<Record<string, string>> = {}) {
    super(problem.detail);
    this.problem = problem;
    this.headers = headers;
  }
}

/** 400: a parameter that is wrong, missing or unknown. */
export function badParameter(parameter: string, value: string, allowed: string): ProblemError {
  const detail = `${parameter}: "${value}" is not allowed; allowed: ${allowed}`;
  return new ProblemError({ status: 400, detail, parameter, value, allowed });
}

/** 503: the service of the node that knows the answer does not give it. */
export function unanswered(node: string, reason: string): ProblemError {
  const detail = `the enricher of ${node} does not answer: ${reason}`;
  return new ProblemError({ status: 503, detail, nodeName: node }, { 'retry-after': '2' });
}
