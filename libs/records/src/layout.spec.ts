import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..');
const object = join(root, '../../bpf/.output/netstatd.bpf.o');

// The object is a build product; the collector's tests fail without it, here it may be absent.
(existsSync(object) ? it : it.skip)('is what the BTF of the compiled object says', () => {
  const made = execFileSync(process.execPath, [join(root, 'generate.mjs'), object, '-'], {
    encoding: 'utf8',
  });
  expect(readFileSync(join(root, 'src/generated/layout.ts'), 'utf8')).toBe(made);
});
