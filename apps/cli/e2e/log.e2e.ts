import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import {
  describeOn,
  Lab,
  startUp,
  traffic,
  upProgram,
  waitFor,
  WHOLE_CHAIN,
  type Cgroup,
  type Netns,
  type Up,
} from '@netstatd/testkit';

/**
 * Names that break naive printing: quotes, backslashes, line ends, terminal escapes, broken UTF-8.
 */
const HOSTILE = [
  Buffer.from('a"b\\c'),
  Buffer.from('new\nline\r\tx'),
  Buffer.from('\x1b]0;owned\x07\x1b['),
  Buffer.from([0xff, 0xfe, 0x80, 0x41, 0xc3]),
  Buffer.from('{"type":"X"}'),
  Buffer.from('</script><b>'),
  Buffer.from('\u202eevil\u2028'),
];

interface Line {
  timestamp: string;
  type: string;
  pid?: number;
  process?: string;
  [field: string]: unknown;
}

describeOn([...WHOLE_CHAIN, 'jq'], 'the log and the table on the terminal (B01–B03, E02)', () => {
  let lab: Lab;
  let up: Up;
  let [client, server]: Netns[] = [];
  let [clientGroup, acceptorGroup]: Cgroup[] = [];
  let directory: string;
  const commands: ChildProcessByStdio<null, Readable, Readable>[] = [];

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'netstatd-test-'));
    lab = new Lab();
    [client, server] = [lab.netns(), lab.netns()];
    [clientGroup, acceptorGroup] = [lab.cgroup(), lab.cgroup()];
    up = await startUp();
  });
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => {
    for (const command of commands) command.kill('SIGKILL');
  });
  afterAll(() => up.stop());
  afterAll(() => lab.close());
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** Starts a subcommand on the running instance and gathers what it prints. */
  function netstatd(...args: string[]) {
    const url = up.url('/conntrack').href.replace('http', 'ws');
    const command = spawn(process.execPath, [upProgram, ...args, '--url', url], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    commands.push(command);
    const output = { command, text: '', errors: '' };
    command.stdout.on('data', (text: Buffer) => (output.text += text.toString('latin1')));
    command.stderr.on('data', (text: Buffer) => (output.errors += text.toString()));
    return output;
  }

  /** Connections of hostile processes: their names as the kernel has them, by pid. */
  async function connectHostile(): Promise<{ port: number; acceptor: number; pids: number[] }> {
    const listener = await lab.traffic('listener', ['listen'], { netns: server! });
    const { port = 0 } = await listener.said('listening');
    const acceptor = await listener.go('acceptor', acceptorGroup);
    const pids: number[] = [];
    for (const [index, name] of HOSTILE.entries()) {
      // The file's name goes the way of `exe`, the thread's that of `comm`.
      const executable = join(directory, `${index}"\\\n\x1b[31m'$(reboot)`);
      copyFileSync(traffic('client'), executable);
      chmodSync(executable, 0o755);
      const to = ['--to', server!.address4, '--port', String(port)];
      const hex = ['--name-hex', name.toString('hex')];
      const hostile = await lab.traffic('client', ['connect', ...to, ...hex], {
        netns: client!,
        cgroup: clientGroup!,
        executable,
      });
      pids.push((await hostile.said('connected')).pid);
      await hostile.stop();
    }
    return { port, acceptor, pids };
  }

  /** Repeats hostile connections until a follower that has just been started shows them. */
  async function untilShown(shown: (pids: number[]) => boolean) {
    for (;;) {
      const made = await connectHostile();
      const seen = await waitFor('the connections on the terminal', () => shown(made.pids), 5000)
        .then(() => true)
        .catch(() => false);
      if (seen) return made;
    }
  }

  it('writes one JSON object a line, with true source and destination, whatever the names', async () => {
    const log = netstatd('log');
    const lines = () =>
      Buffer.from(log.text, 'latin1')
        .toString()
        .split('\n')
        .slice(0, -1)
        .flatMap((line): Line[] => {
          try {
            return [JSON.parse(line) as Line];
          } catch {
            return [];
          }
        });
    const closed = (pid: number) => lines().some((l) => l.pid === pid && l.type === 'CLOSE');
    const { port, acceptor, pids } = await untilShown((all) => all.every(closed));
    await waitFor('the accepts', () => {
      const ends = lines().filter((line) => line.pid === acceptor && line.type === 'CLOSE');
      return ends.length === HOSTILE.length;
    });
    log.command.kill('SIGTERM');
    await waitFor(
      'the end of log',
      () => log.command.exitCode ?? log.command.signalCode ?? undefined,
    );

    // Every line, those of the machine's other processes as well.
    const whole = Buffer.from(log.text, 'latin1');
    const objects = execFileSync('jq', ['-e', '-c', 'type == "object"'], { input: whole });
    expect(new Set(objects.toString().trim().split('\n'))).toEqual(new Set(['true']));
    const count = log.text.split('\n').length - 1;
    expect(objects.toString().trim().split('\n')).toHaveLength(count);
    // eslint-disable-next-line no-control-regex -- these are what must not be there
    expect(log.text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);

    const ends = { src_ip: client!.address4, dst_ip: server!.address4, dst_port: port };
    for (const pid of pids) {
      const [connect, close, ...rest] = lines().filter((line) => line.pid === pid);
      const common = {
        ...{ ...ends, pid, protocol: 'TCP', netns: client!.inode, process: connect?.process },
        container: { container_id: clientGroup!.containerUid.slice(0, 12) },
        node: hostname(),
      };
      expect(connect?.timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      expect(connect).toMatchObject({ ...common, type: 'CONNECT' });
      expect(close).toMatchObject({ ...common, type: 'CLOSE', src_port: connect?.src_port });
      expect(rest).toEqual([]);
      const accepted = lines().filter(
        (line) => line.pid === acceptor && line.src_port === connect?.src_port,
      );
      expect(accepted.map(({ type }) => type)).toEqual(['ACCEPT', 'CLOSE']);
      for (const line of accepted)
        expect(line).toMatchObject({
          ...{ ...ends, netns: server!.inode, process: 'traffic-accepto' },
          container: { container_id: acceptorGroup!.containerUid.slice(0, 12) },
        });
    }
    const names = pids.map((pid) => lines().find((line) => line.pid === pid)?.process);
    expect(names[0]).toBe('a"b\\c');
    expect(names[1]).toBe('new\nline\r\tx');
    expect(names[2]).toBe('\x1b]0;owned\x07\x1b[');
    expect(names[4]).toBe('{"type":"X"}');
  });

  it('shows a line per connection in kernel time, with nothing that a terminal obeys', async () => {
    const watch = netstatd('watch');
    const lineOf = (pid: number) =>
      watch.text.split('\n').find((line) => new RegExp(`\\b${pid}\\b`).test(line));
    const { port, pids } = await untilShown((all) => all.every((pid) => lineOf(pid)));
    for (const pid of pids) {
      const line = lineOf(pid) ?? '';
      expect(line).toMatch(/^\d\d:\d\d:\d\d\.\d{3} /);
      expect(line).toMatch(
        new RegExp(` ${pid} +${client!.address4} +-> ${server!.address4}:${port}$`),
      );
    }
    // Not even what UTF-8 can spell: C1 controls are bytes 0xc2 0x80 to 0xc2 0x9f.
    // eslint-disable-next-line no-control-regex -- these are what must not be there
    expect(watch.text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]/);
  });

  it('ends without complaint when its reader has gone', async () => {
    const script = '"$0" "$1" log --url "$2" | head -n 1; echo "${PIPESTATUS[0]}"';
    const url = up.url('/conntrack').href.replace('http', 'ws');
    const pipe = spawn('bash', ['-c', script, process.execPath, upProgram, url], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    commands.push(pipe);
    let [text, errors, ended] = ['', '', false];
    pipe.stdout.on('data', (data: Buffer) => (text += data.toString()));
    pipe.stderr.on('data', (data: Buffer) => (errors += data.toString()));
    pipe.on('close', () => (ended = true));
    await untilShown(() => ended);
    expect(text.trim().split('\n').at(-1)).toBe('0');
    expect(errors).toBe(`netstatd: following ${url}\n`);
  });
});
