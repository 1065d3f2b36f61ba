import { join } from 'node:path';

/** The workspace's root, from this file's place in it. */
export const workspaceRoot = join(__dirname, '..', '..', '..');

/** The built command line, which starts everything. */
export const upProgram = join(workspaceRoot, 'dist', 'cli', 'main.js');

/** Roles of the traffic generator; each is an executable of its own name. */
export type Role = 'listener' | 'acceptor' | 'client' | 'sender' | 'receiver' | 'churn' | 'opener';

/** Path of the executable that plays a role. */
export const traffic = (role: Role): string =>
  join(workspaceRoot, 'libs', 'testkit', '.output', `traffic-${role}`);
