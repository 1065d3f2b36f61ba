/**
 * Makes src/generated/… from every file below proto/, with protoc and ts-proto. What it makes is checked in, so that
 * only who changes a .proto needs protoc (Debian: protobuf-compiler). Run: npm run proto. An argument names another
 * directory than src/generated.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

const proto = join(import.meta.dirname, 'proto');
const out = resolve(process.argv[2] ?? join(import.meta.dirname, 'src', 'generated'));
const plugin = join(import.meta.dirname, '../../node_modules/.bin/protoc-gen-ts_proto');
const options = [
  'outputServices=grpc-js',
  'outputJsonMethods=false',
  'outputTypeAnnotations=false',
  'exportCommonSymbols=false',
  'importSuffix=.ts',
  // Times are nanoseconds since 1970.
  'forceLong=bigint',
  'useDate=false',
  'removeEnumPrefix=false',
  'unrecognizedEnum=false',
];

if (spawnSync('protoc', ['--version']).error) {
  console.error('protoc is missing: install protobuf-compiler');
  process.exit(1);
}
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const files = readdirSync(proto, { recursive: true }).filter((name) => name.endsWith('.proto'));
const { status } = spawnSync(
  'protoc',
  [
    `--plugin=protoc-gen-ts_proto=${plugin}`,
    `--ts_proto_out=${out}`,
    `--ts_proto_opt=${options.join(',')}`,
    `--proto_path=${proto}`,
    ...files.sort(),
  ],
  { stdio: 'inherit' },
);
process.exitCode = status ?? 1;
