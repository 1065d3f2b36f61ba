import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const there = spawnSync('protoc', ['--version']).status === 0;
const given = there || process.env.CI === 'true' ? it : it.skip;
const name = 'src/generated is what proto/ says';

/** Without the line that names the protoc that made it. */
const files = (dir: string) =>
  Object.fromEntries(
    readdirSync(dir, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => [
        path,
        readFileSync(join(dir, path), 'utf8').replace(/^\/\/ +protoc .*$/m, ''),
      ]),
  );

given(there ? name : `${name} (not on this machine: protoc is not installed)`, () => {
  const out = mkdtempSync(join(tmpdir(), 'netstatd-proto-'));
  try {
    const script = join(__dirname, '..', 'generate.mjs');
    const made = spawnSync(process.execPath, [script, out], { encoding: 'utf8' });
    expect({ status: made.status, said: made.stderr }).toEqual({ status: 0, said: '' });
    expect(files(out)).toEqual(files(join(__dirname, 'generated')));
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
