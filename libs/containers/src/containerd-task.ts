import { microsOf } from './containerd-time.ts';
import { Status, type Process } from './generated/containerd/task-types.ts';
import type { RuntimeContainer } from './runtime-container.ts';

/** What is known of the first process of a container. */
export interface TaskState {
  readonly state: RuntimeContainer['state'];
  /** Of the process that runs, or ran last. */
  readonly pid?: number;
  readonly startedMicros?: number;
  readonly exitedMicros?: number;
}

export const NO_TASK: TaskState = { state: 'created' };

/*
 * An event and a list may tell of the same thing, and either may be the first. The pid says whether it is the same
 * process; each function returns the very state that it got when that knows already, or knows better.
 */

/** A process was started. */
export function taskStarted(task: TaskState, pid: number, micros: number | undefined): TaskState {
  const started = micros === undefined ? {} : { startedMicros: micros };
  if (task.pid !== pid) return { state: 'running', pid, ...started };
  if (task.state === 'exited' && (micros ?? 0) > (task.exitedMicros ?? Infinity))
    return { state: 'running', pid, ...started };
  return task.startedMicros === undefined && micros !== undefined ? { ...task, ...started } : task;
}

/** A process has ended: perhaps one whose start was not told yet, or one before the one that runs. */
export function taskExited(task: TaskState, pid: number, micros: number | undefined): TaskState {
  const exited = micros === undefined ? {} : { exitedMicros: micros };
  if (task.pid === undefined) return { state: 'exited', pid, ...exited };
  if (task.pid !== pid) return task;
  if (task.state === 'exited' && (task.exitedMicros !== undefined || micros === undefined))
    return task;
  return { ...task, state: 'exited', ...exited };
}

/** What containerd says of the process now; undefined where it says that there is none. */
export function taskListed(task: TaskState, process: Process | undefined): TaskState {
  if (process === undefined) return task.state === 'running' ? { ...task, state: 'exited' } : task;
  switch (process.status) {
    case Status.RUNNING:
    case Status.PAUSED:
    case Status.PAUSING:
      return task.pid === process.pid ? task : { state: 'running', pid: process.pid };
    case Status.STOPPED: {
      const before = task.pid === process.pid ? task : NO_TASK;
      return taskExited(before, process.pid, microsOf(process.exitedAt));
    }
    case Status.CREATED:
      return task.state === 'running' ? { ...task, state: 'exited' } : task;
    default:
      // The shim did not answer containerd.
      return task;
  }
}
