import { shorten, type EventType } from '@netstatd/events';
import type { HealthHandlers } from '@netstatd/service';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Turns } from '../stream/turns.ts';
import type { View } from '../view.ts';
import { listAddresses } from './addresses.ts';
import type { Documents } from './documents.ts';
import { listEvents, reasonOf } from './event-lists.ts';
import { badParameter, ProblemError, unanswered } from './problems.ts';
import {
  containerAliases,
  pageOf,
  parseListQuery,
  singleParameters,
  type Aliases,
} from './query.ts';
import type { ServiceName } from './service-names.ts';

/** What the REST handlers of one listener work on. */
export interface RestOptions {
  readonly view: View;
  /** The line in which lists wait for snapshots. */
  readonly turns: Turns;
  readonly serviceNames: readonly ServiceName[];
  readonly health: HealthHandlers;
  readonly documents: Documents;
}

/** One question, its parameters read from its URL. */
interface Question {
  readonly parameters: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Answers, or throws a ProblemError. */
export type Handler = (question: Question) => Promise<void> | void;

/** Sends a whole JSON answer. */
function sendJson(response: ServerResponse, body: unknown): void {
  response.setHeader('content-type', 'application/json');
  response.setHeader('cache-control', 'no-store');
  response.end(JSON.stringify(body));
}

const pidAllowed = 'an integer from 1 to 4194304';

function parsePid(text: string | undefined): number {
  if (text === undefined) {
    const detail = `pid is missing; allowed: ${pidAllowed}`;
    throw new ProblemError({ status: 400, detail, parameter: 'pid', allowed: pidAllowed });
  }
  const pid = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  // PID_MAX_LIMIT, include/linux/threads.h
  if (pid < 1 || pid > 4_194_304) throw badParameter('pid', shorten(text), pidAllowed);
  return pid;
}

/** The node that is asked about a pid: the only one, or the one that `node` names. */
function pidNode(view: View, node: string | undefined): string {
  const nodes = view.nodes();
  const [only] = nodes;
  if (node === undefined && only !== undefined && nodes.length === 1) return only;
  if (node !== undefined && nodes.includes(node)) return node;
  if (node !== undefined) {
    throw new ProblemError({ status: 404, detail: `node "${shorten(node)}" is not known` });
  }
  const detail = 'node is missing; a pid says nothing without its node';
  throw new ProblemError({ status: 400, detail, parameter: 'node' });
}

async function pidExe({ view, turns }: RestOptions, question: Question): Promise<void> {
  const { pid: text, node: name } = singleParameters(question.parameters, ['pid', 'node']);
  const pid = parsePid(text);
  const node = pidNode(view, name);
  let exe: string | undefined;
  try {
    exe = await view.source(node).exeOf(pid, turns);
  } catch (error) {
    throw unanswered(node, reasonOf(error));
  }
  if (exe === undefined) {
    throw new ProblemError({ status: 404, detail: `no process ${pid} is known on ${node}`, pid });
  }
  sendJson(question.response, { nodeName: node, pid, exe });
}

function services({ serviceNames }: RestOptions, { parameters, response }: Question): void {
  const query = parseListQuery(parameters, new Set(['port', 'protocol']));
  const { port, protocol } = query.filter.toQuery();
  const items = serviceNames.filter(
    (each) =>
      (port === undefined || port.includes(String(each.port))) &&
      (protocol === undefined || protocol.includes(each.protocol)),
  );
  sendJson(response, pageOf(items, query));
}

function nodes({ view }: RestOptions, { parameters, response }: Question): void {
  const query = parseListQuery(parameters, new Set(['node']));
  const items = view.nodeItems().filter(({ nodeName }) => query.filter.wantsNode(nodeName));
  sendJson(response, pageOf(items, query));
}

function status({ view }: RestOptions, { parameters, response }: Question): void {
  singleParameters(parameters, []);
  const time = new Date().toISOString();
  sendJson(response, { time, view: view.kind, nodes: view.nodeStatuses() });
}

/** Every path that answers GET, but for the files of the page. */
export function restHandlers(options: RestOptions): ReadonlyMap<string, Handler> {
  const { health, documents } = options;
  const events =
    (type: EventType, aliases?: Aliases): Handler =>
    ({ parameters, response }) =>
      listEvents(options, type, parseListQuery(parameters, 'all', aliases), response);
  const document =
    (path: keyof Documents): Handler =>
    ({ parameters, response }) => {
      singleParameters(parameters, []);
      response.setHeader('content-type', 'application/json');
      response.end(documents[path]);
    };
  const own =
    (name: keyof HealthHandlers): Handler =>
    ({ request, response }) =>
      health[name](request, response);
  return new Map<string, Handler>([
    ['/api/containers', events('container.added', containerAliases)],
    ['/api/connections', events('connection.event')],
    ['/api/ports', events('port.listening')],
    ['/api/processes', events('process.metainfo')],
    [
      '/api/ips',
      async ({ parameters, response }) =>
        sendJson(response, await listAddresses(options, parseListQuery(parameters))),
    ],
    ['/api/nodes', (question) => nodes(options, question)],
    // Names of addresses have no source yet: there are none, which is what an empty list says.
    [
      '/api/dns',
      ({ parameters, response }) => sendJson(response, pageOf([], parseListQuery(parameters))),
    ],
    ['/api/services', (question) => services(options, question)],
    ['/api/pid-exe', (question) => pidExe(options, question)],
    ['/api/status', (question) => status(options, question)],
    ['/openapi.json', document('/openapi.json')],
    ['/asyncapi.json', document('/asyncapi.json')],
    ['/healthz', own('healthz')],
    ['/readyz', own('readyz')],
    ['/metrics', own('metrics')],
  ]);
}
