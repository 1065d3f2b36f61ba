export * from './asyncapi.ts';
export * from './bus-schemas.ts';
export * from './fields.ts';
export * from './filter.ts';
export {
  filterParameters,
  MAX_VALUE_LENGTH,
  MAX_VALUES,
  type FilterParameter,
} from './filter-parameters.ts';
export * from './ip.ts';
export * from './json-bytes.ts';
export * from './packed-json.ts';
export * from './json.ts';
export * from './log.ts';
export * from './names.ts';
export * from './rows.ts';
export * from './schemas.ts';
export * from './text.ts';
export * from './types.ts';
export * from './watch.ts';
