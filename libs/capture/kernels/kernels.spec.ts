import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { buildFor } from './build.ts';
import type { Built } from './build.ts';
import { fetchKernel } from './debian.ts';
import type { Kernel } from './debian.ts';
import { boot, emulated } from './emulator.ts';
import { itKnowsTheOwners } from './expectations.ts';
import { netstatdGuest, recorderGuest } from './guests.ts';
import type { Guest } from './guests.ts';
import { itSaysWhatIsSo } from './netstatd-expectations.ts';
import { here } from './places.ts';
import type { Architecture } from './places.ts';
import { itAttachesEverything } from './recorder-expectations.ts';
import { Story } from './story.ts';

jest.setTimeout(300_000);

const other: Architecture = here === 'amd64' ? 'arm64' : 'amd64';
/** e_machine of an ELF header. */
const MACHINES = { amd64: 62, arm64: 183 };

/** What `get` gives, or the first line of why it cannot be had on this machine. */
function orReason<T>(get: () => T): T | string {
  try {
    return get();
  } catch (error) {
    return (error as Error).message.replace(/\n[^]*/, '');
  }
}

/** Declares that tests are left out, which in CI is a failure: there all can be had. */
function itIsLeftOut(reason: string): void {
  const declare = process.env.CI === 'true' ? it : it.skip;
  declare(`can be had (not on this machine: ${reason})`, () => {
    throw new Error(reason);
  });
}

/** The same value each time, made when it is first asked for. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

function getMachine(series: string, architecture: Architecture): { kernel: Kernel; built: Built } {
  execFileSync(emulated[architecture].program, ['--version']);
  return { kernel: fetchKernel(series, architecture), built: buildFor(architecture) };
}

interface BtfType {
  kind: string;
  name: string;
  linkage?: string;
  size?: number;
  members?: { name: string; bits_offset: number }[];
}

/** The programs of an object, and the layout of the records it makes. */
function interfaceOf(object: string) {
  const dump = ['-j', 'btf', 'dump', 'file', object];
  const { types } = JSON.parse(
    execFileSync('bpftool', dump, { encoding: 'utf8', maxBuffer: 1 << 26 }),
  ) as { types: BtfType[] };
  const programs = types.filter(({ kind, linkage }) => kind === 'FUNC' && linkage === 'global');
  const records = types.filter(({ kind, name }) => kind === 'STRUCT' && name.endsWith('_record'));
  return {
    programs: programs.map(({ name }) => name).sort(),
    records: records.map(({ name, size, members }) => ({
      name,
      size,
      fields: members?.map((field) => [field.name, field.bits_offset]),
    })),
  };
}

describe.each([
  { series: '6.1', architecture: here },
  { series: '6.12', architecture: here },
  { series: '6.1', architecture: other },
  { series: '6.12', architecture: other },
])("Debian's stock kernel $series on $architecture", ({ series, architecture }) => {
  const machine = orReason(() => getMachine(series, architecture));
  if (typeof machine === 'string') {
    itIsLeftOut(machine);
    return;
  }
  const { kernel, built } = machine;
  const tell = (guest: Guest) => {
    const story = new Story(boot(kernel, architecture, guest));
    expect(story.release).toBe(kernel.release);
    return story;
  };

  describe('with the recorder', () => {
    const story = once(() => tell(recorderGuest(built)));
    itAttachesEverything(story);
    itKnowsTheOwners(() => ({ story: story(), recorded: story().recorded('recorder') }));

    describe('by the return of every system call', () => {
      itKnowsTheOwners(() => ({ story: story(), recorded: story().recorded('stand-in') }));
    });
  });

  // Node is there for this machine's architecture only.
  if (architecture !== here) return;
  describe('with netstatd', () => {
    const story = once(() => tell(netstatdGuest(built)));
    itSaysWhatIsSo(story);
    itKnowsTheOwners(() => ({ story: story(), recorded: story().recording('full-recording') }));
  });
});

describe(`netstatd for ${other}`, () => {
  const built = orReason(() => [buildFor(here), buildFor(other)] as const);
  if (typeof built === 'string') {
    itIsLeftOut(built);
    return;
  }

  it('has the same programs and records', () => {
    const [ours, theirs] = built.map(({ object }) => interfaceOf(object));
    expect(ours?.programs).toContain('tcp_state');
    expect(theirs).toEqual(ours);
  });

  it('has an addon of that architecture', () => {
    expect(readFileSync(built[1].addon).readUInt16LE(18)).toBe(MACHINES[other]);
  });
});
