import type { ContainerRuntime } from './cgroup-path.ts';
import { defined } from './defined.ts';
import type { RuntimeContainer } from './runtime-container.ts';

/**
 * How much a runtime's own description says beyond another's of the same container: Docker and CRI-O know the names
 * of what they have containerd or runc run.
 */
const rank: Readonly<Record<ContainerRuntime, number>> = {
  'cri-o': 4,
  docker: 3,
  podman: 2,
  containerd: 1,
  unknown: 0,
};

/** What changes over a container's life: taken together, from one source, as parts of two would tell of no moment. */
type Life = Pick<RuntimeContainer, 'state' | 'pid' | 'startedMicros' | 'exitedMicros'>;

const emptyLife = {
  state: undefined,
  pid: undefined,
  startedMicros: undefined,
  exitedMicros: undefined,
};

/**
 * One description of a container that several sources describe: each field from the most telling source that has it,
 * labels of all, and its life from the source that knows the latest of it.
 * @param told at least one, the latest told last
 */
export function mergeDescriptions(told: readonly RuntimeContainer[]): RuntimeContainer {
  const [only] = told;
  if (only === undefined) throw new RangeError('nothing to merge');
  if (told.length === 1) return only;
  const byRank = [...told].sort((a, b) => rank[a.runtime] - rank[b.runtime]);
  const labels = Object.assign({}, ...byRank.map((one) => one.labels)) as Record<string, string>;
  // A sum of all lives is no life: what the latest lacks must not come from another.
  const noLife = byRank.map((one) => ({ ...one, ...emptyLife }));
  const merged = Object.assign({}, ...noLife.map(defined)) as RuntimeContainer;
  return {
    ...merged,
    labels,
    sandbox: told.some((one) => one.sandbox),
    ...latestLife(told),
  };
}

function latestLife(told: readonly RuntimeContainer[]): Life {
  const latest = told.reduce((best, one) => (moment(one) >= moment(best) ? one : best));
  const { state, pid, startedMicros, exitedMicros } = latest;
  const others = told.filter((one) => one.state === state);
  const started = startedMicros ?? others.find((one) => one.startedMicros)?.startedMicros;
  const exited = exitedMicros ?? others.find((one) => one.exitedMicros)?.exitedMicros;
  return {
    state,
    ...(pid !== undefined && { pid }),
    ...(started !== undefined && { startedMicros: started }),
    ...(exited !== undefined && { exitedMicros: exited }),
  };
}

/** The latest that a description tells of; all are as new where one tells no times. */
function moment({ startedMicros, exitedMicros }: RuntimeContainer): number {
  return Math.max(startedMicros ?? 0, exitedMicros ?? 0);
}
