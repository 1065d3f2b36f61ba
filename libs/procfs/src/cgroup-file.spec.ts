import fc from 'fast-check';
import { parseCgroupFile, unifiedCgroup } from './cgroup-file.ts';

test('the unified path comes first, then systemd, duplicates and roots are left out', () => {
  const text =
    '12:rdma:/\n9:cpuset:/b\n4:memory:/a\n1:name=systemd:/kubepods/x\n0::/system.slice/containerd.service\n2:pids:/a\n';
  expect(parseCgroupFile(text)).toEqual([
    '/system.slice/containerd.service',
    '/kubepods/x',
    '/a',
    '/b',
  ]);
});

test('a path may hold colons, and the mark of a removed cgroup is no part of it', () => {
  expect(parseCgroupFile('0::/a.slice:cri-containerd:0f\n')).toEqual([
    '/a.slice:cri-containerd:0f',
  ]);
  expect(parseCgroupFile('0::/gone (deleted)\n')).toEqual(['/gone']);
});

test('the unified path alone', () => {
  expect(unifiedCgroup('1:name=systemd:/x\n0::/a (deleted)\n')).toBe('/a');
  expect(unifiedCgroup('0::/\n')).toBe('/');
  expect(unifiedCgroup('1:name=systemd:/x\n')).toBeUndefined();
});

test('any text gives absolute paths without repeats, never an exception', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(':', '\n', '/', '0', 'a', ',') }), (text) => {
      const paths = parseCgroupFile(text);
      expect(new Set(paths).size).toBe(paths.length);
      for (const path of paths) expect(path).toMatch(/^\/./);
    }),
  );
});
