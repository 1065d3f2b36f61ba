import fc from 'fast-check';
import { hasLegacyCgroups, parseMountinfo, unifiedCgroupMount } from './mountinfo.ts';

const hybrid = `23 0 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 master:2 - cgroup2 cgroup2 rw
`;

test('optional fields, hybrid hierarchies and octal escapes are understood', () => {
  expect(unifiedCgroupMount(parseMountinfo(hybrid))).toBe('/sys/fs/cgroup/unified');
  expect(hasLegacyCgroups(parseMountinfo(hybrid))).toBe(true);
  expect(hasLegacyCgroups(parseMountinfo('1 0 0:1 / / rw - cgroup2 cgroup2 rw'))).toBe(false);
  expect(parseMountinfo('1 0 0:1 /a\\040b /mnt/x\\134y rw - tmpfs tmpfs rw')).toEqual([
    { root: '/a b', mountPoint: '/mnt/x\\y', filesystem: 'tmpfs' },
  ]);
  expect(unifiedCgroupMount(parseMountinfo('1 0 0:1 / / rw - ext4 /dev/root rw'))).toBeUndefined();
});

test('any text is survived', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(' ', '-', '\n', '\\', '0', '4', '/', 'a') }),
      (text) => {
        for (const mount of parseMountinfo(text)) expect(mount.filesystem).not.toBe('');
      },
    ),
  );
});
