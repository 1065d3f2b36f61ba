import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

it('docs/events.md says what the schemas say', () => {
  const root = join(__dirname, '../../..');
  const script = join(root, 'libs/events/generate-docs.ts');
  execFileSync(join(root, 'node_modules/.bin/tsx'), [script, '--check'], { timeout: 60_000 });
}, 60_000);
