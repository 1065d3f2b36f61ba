import { runProgram } from './program.ts';

runProgram(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`netstatd: ${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  },
);
