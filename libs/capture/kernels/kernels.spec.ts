import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fetchKernel } from './debian.ts';
import type { Kernel } from './debian.ts';
import { boot } from './emulator.ts';
import { itKnowsTheOwners } from './expectations.ts';
import { built } from './places.ts';
import { Story } from './story.ts';

jest.setTimeout(180_000);

function find(program: string): string {
  const dirs = (process.env.PATH ?? '').split(delimiter);
  const found = dirs.map((dir) => join(dir, program)).find((path) => existsSync(path));
  if (!found) throw new Error(`${program} is not installed`);
  return found;
}

/** The kernel, or why it cannot be had. */
function tryFetch(series: string): Kernel | string {
  try {
    find('qemu-system-x86_64');
    find('busybox');
    return fetchKernel(series, 'amd64');
  } catch (error) {
    return (error as Error).message.split('\n')[0]!;
  }
}

describe.each(['6.1', '6.12'])("Debian's stock kernel %s", (series) => {
  const kernel = tryFetch(series);
  if (typeof kernel !== 'string') {
    itKnowsTheOwners(() => {
      const story = new Story(boot(kernel, 'amd64', { ...built, busybox: find('busybox') }));
      expect(story.release).toBe(kernel.release);
      return story;
    });
  } else if (process.env.CI === 'true') {
    it('can be had', () => {
      throw new Error(kernel);
    });
  } else {
    it.skip(`is emulated (not on this machine: ${kernel})`, () => undefined);
  }
});
