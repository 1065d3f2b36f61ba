export * from './types.ts';
export * from './fields.ts';
export * from './rows.ts';
export * from './text.ts';
export { eventSchemas, remoteSchema, tcpStates } from './schemas.ts';
