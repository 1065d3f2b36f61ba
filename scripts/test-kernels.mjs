/**
 * `npm run test:kernels`: installs and builds what is missing, then boots Debian's stock kernels in
 * software emulation, with our programs in them, one after the other.
 */
import { join } from 'node:path';
import { build, root, setup } from './setup.mjs';
import { fail, run } from './system.mjs';

await setup('kernels');
if ((await build('kernels')) !== 0) fail('the build failed, see above');
const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
const config = ['--runInBand', '--config', 'libs/capture/kernels/jest.config.js'];
process.exitCode = await run([process.execPath, jest, ...config, ...process.argv.slice(2)], {
  cwd: root,
});
