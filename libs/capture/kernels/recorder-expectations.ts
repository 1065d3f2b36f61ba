import { captureKinds } from '../src/kinds.ts';
import type { Story } from './story.ts';

/** The hooks that every kind of event comes from on kernels that have them all. */
const allKinds = {
  tcp: 'tp_btf/inet_sock_set_state',
  accept: 'tp/syscalls/sys_exit_accept4 tp/syscalls/sys_exit_accept',
  uringAccept: 'tp_btf/io_uring_complete',
  listen: 'tp_btf/inet_sock_set_state tp/syscalls/sys_exit_listen',
  failedConnect: 'tp/syscalls/sys_exit_connect',
  udp: 'cgroup_skb/egress cgroup_skb/ingress',
  processes: 'tp_btf/sched_process_exec',
  cgroups: 'tp_btf/cgroup_mkdir',
  snapshot: 'iter/task_file',
};

/** What the addon's C sources do of themselves, without Node. */
export function itAttachesEverything(tell: () => Story): void {
  let story: Story;

  beforeAll(() => {
    story = tell();
  });

  it('attaches every program of the object though locked down for integrity, and loses nothing', () => {
    const { hooks, failure, lost } = story.recorded('recorder');
    expect(failure).toBeUndefined();
    const missing = Object.values(hooks).filter(({ state }) => state !== 'attached');
    expect(missing.map(({ name, state }) => `${name}: ${state}`).sort()).toEqual(
      ['syscall_exit', 'udp_sendmsg4', 'udp_sendmsg6'].map((name) => `${name}: spare`),
    );
    expect(captureKinds(hooks)).toEqual(allKinds);
    expect(lost).toBe(0);
  });

  it('has another hook in place of those of single system calls', () => {
    const { hooks, lost } = story.recorded('stand-in');
    expect(captureKinds(hooks)).toEqual({
      ...allKinds,
      accept: 'tp_btf/sys_exit',
      listen: 'tp_btf/inet_sock_set_state tp_btf/sys_exit',
      failedConnect: 'tp_btf/sys_exit',
    });
    expect(lost).toBe(0);
  });

  it('captures TCP without a cgroup hierarchy, and says what is missing', () => {
    const { hooks, failure } = story.recorded('bare');
    expect(failure).toBeUndefined();
    const udp = 'unsupported: no cgroup v2 hierarchy is mounted';
    expect(captureKinds(hooks)).toEqual({ ...allKinds, udp });
    for (const { section, state, reason } of Object.values(hooks)) {
      if (section === 'tp_btf/sys_exit') expect(state).toBe('spare');
      else if (!section.startsWith('cgroup'))
        expect([section, state]).toEqual([section, 'attached']);
      else expect([state, reason]).toEqual(['unsupported', 'no cgroup v2 hierarchy is mounted']);
    }
  });

  it('says that a kernel locked down for confidentiality forbids it', () => {
    expect(story.recorded('confidentiality').failure).toMatch(/locked down for confidentiality/);
  });
}
