import { RecordFlag } from '@netstatd/records';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cgroup, Harness, process, storyOf, tcp } from './harness.fixture.ts';

const ID = '8e1f3c5b7a9d2e4f6081a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7';
const POD = '0f3b8c1e-52d4-4a0e-9c68-5d1f0a7e2b31';
const PATH = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${POD.replaceAll('-', '_')}.slice/cri-containerd-${ID}.scope`;
const web = { pid: 300, startNs: 8e9, comm: 'web', cgroupId: 4242 };

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});

test('B04 a container is announced before what names it, and deleted after the last socket', () => {
  const events = harness.send(
    cgroup.made(1, 4242, PATH),
    process.executed(2, web, '/web'),
    tcp.connecting(3, 7, web),
  );
  expect(events.slice(0, 2)).toEqual([
    expect.objectContaining({
      ...{ type: 'container.added', containerUid: ID, runtime: 'containerd', podUid: POD },
    }),
    expect.objectContaining({
      ...{ type: 'process.metainfo', containerUid: ID, cgroupSlice: PATH },
    }),
  ]);
  expect(events[2]).toHaveProperty('containerUid', ID);
  expect(harness.send(process.exited(4, web), cgroup.removed(5, 4242, PATH))).toEqual([]);
  expect(storyOf(harness.send(tcp.closed(6, 7)))).toEqual(['CLOSE', 'container.deleted']);
  expect(harness.enricher.containers.size).toBe(0);
});

test('a container without sockets is deleted with its cgroup; one that nobody heard of silently', () => {
  harness.send(cgroup.made(1, 4242, PATH), tcp.connecting(3, 7, web), tcp.closed(4, 7));
  expect(storyOf(harness.send(cgroup.removed(5, 4242, PATH)))).toEqual(['container.deleted']);
  expect(harness.send(cgroup.made(6, 4243, PATH), cgroup.removed(7, 4243, PATH))).toEqual([]);
});

test('a cgroup that a container’s init makes below its own is the container, and its end is not', () => {
  const inner = `${PATH}/init.scope`;
  harness.send(cgroup.made(1, 4242, inner));
  const events = harness.send(tcp.connecting(2, 7, web), tcp.closed(3, 7));
  expect(events.at(-1)).toHaveProperty('containerUid', ID);
  expect(harness.send(cgroup.removed(4, 4242, inner))).toEqual([]);
});

test('a path that was cut tells the container all the same', () => {
  harness.send(cgroup.made(1, 4242, PATH.slice(-120), RecordFlag.PATH_CUT));
  expect(harness.send(tcp.connecting(2, 7, web)).at(-1)).toHaveProperty('containerUid', ID);
});

test('A14 two containers of one pod stay apart', () => {
  const other = ID.replace('8e', '00');
  harness.send(cgroup.made(1, 4242, PATH), cgroup.made(1, 4243, PATH.replace(ID, other)));
  const events = harness.send(
    tcp.connecting(2, 7, web),
    tcp.connecting(3, 8, { ...web, pid: 301, cgroupId: 4243 }),
  );
  expect(
    events.flatMap(({ sockCookie, containerUid }) => (sockCookie ? [containerUid] : [])),
  ).toEqual([ID, other]);
});

test('with cgroup v1 the owner’s /proc tells, and its children inherit', () => {
  const root = mkdtempSync(join(tmpdir(), 'netstatd-proc-'));
  mkdirSync(join(root, '300'));
  writeFileSync(join(root, '300', 'stat'), `300 (web) S 1 ${'0 '.repeat(17)}800 0`);
  writeFileSync(join(root, '300', 'cgroup'), `4:memory:/docker/${ID}\n0::/\n`);
  symlinkSync('/usr/bin/web', join(root, '300', 'exe'));
  harness = new Harness({ procRoot: root });
  const child = { ...web, pid: 301, startNs: 9e9, cgroupId: 1 };
  const events = harness.send(
    tcp.connecting(3, 7, { ...web, cgroupId: 1 }),
    process.forked(4, child, 300),
    tcp.connecting(5, 8, child),
  );
  const owned = events.filter(({ type }) => type === 'connection.event');
  expect(owned.map(({ pid, containerUid, exe }) => [pid, containerUid, exe])).toEqual([
    [300, ID, '/usr/bin/web'],
    [301, ID, '/usr/bin/web'],
  ]);
  rmSync(root, { recursive: true });
});
