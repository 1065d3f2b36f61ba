import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  describeOn,
  Lab,
  startUp,
  traffic,
  waitFor,
  WHOLE_CHAIN,
  type Netns,
  type Up,
} from '@netstatd/testkit';
import { chromium, type Browser, type Page } from 'playwright-core';

const NAME = '<img src=x onerror=alert(1)>';

describeOn([...WHOLE_CHAIN, 'chromium'], 'the first page', () => {
  let directory: string;
  let executable: string;
  let lab: Lab;
  let up: Up;
  let browser: Browser;
  let page: Page;
  let [client, server]: Netns[] = [];
  const complaints: string[] = [];

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'netstatd-test-'));
    executable = join(directory, NAME);
    copyFileSync(traffic('client'), executable);
    lab = new Lab();
    [client, server] = [lab.netns(), lab.netns()];
    up = await startUp();
    const executablePath = '/usr/bin/chromium';
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
    page = await browser.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('dialog', (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await page.goto(up.url('/').href);
  });
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => browser.close());
  afterAll(() => up.stop());
  afterAll(() => lab.close());
  afterAll(() => rmSync(directory, { recursive: true }));

  /** The row of a process and a port; the filter brings it into the window of the long table. */
  async function rowOf(pid: number, port = 0): Promise<string | undefined> {
    await page.fill('input[type=search]', String(pid));
    const rows = await page.locator('[role=row], tr').allInnerTexts();
    return rows.find((text) => text.includes(String(pid)) && text.includes(String(port)));
  }

  it('shows a connection with its process while it is open, and its end', async () => {
    const listener = await lab.traffic('listener', ['listen'], { netns: server! });
    const { port } = await listener.said('listening');
    await listener.go('acceptor');
    const to = ['--to', server!.address4, '--port', String(port)];
    const holding = await lab.traffic('client', ['connect', ...to, '--close', 'hold'], {
      netns: client!,
      executable,
    });
    const { pid } = await holding.said('connected');
    const row = await waitFor('the row', () => rowOf(pid, port));
    // A name is text, whatever it looks like.
    expect(row).toContain(NAME);
    expect(row).toContain(server!.address4);
    await holding.stop();
    await waitFor('the end of the row', async () => {
      const now = await rowOf(pid, port);
      return now === undefined || now !== row;
    });
    expect(complaints).toEqual([]);
  });

  it('has the counters of what was seen and lost', async () => {
    const text = await waitFor('the counters', async () => {
      const all = await page.locator('body').innerText();
      return /seen/i.test(all) && /lost/i.test(all) && all;
    });
    expect(text).toMatch(/\d/);
  });

  it('keeps showing what happens when the gateway was killed', async () => {
    const before = up.endpoints().pids.gateway;
    up.signal('gateway', 'SIGKILL');
    await waitFor('a new gateway', () => {
      const now = up.endpoints().pids.gateway;
      return now !== undefined && now !== before;
    });
    await up.ready();
    const listener = await lab.traffic('listener', ['listen', '--hold'], { netns: server! });
    const { port } = await listener.said('listening');
    await listener.go('acceptor');
    const to = ['--to', server!.address4, '--port', String(port), '--close', 'hold'];
    const holding = await lab.traffic('client', ['connect', ...to], { netns: client! });
    const { pid } = await holding.said('connected');
    await waitFor('the row', () => rowOf(pid, port));
  });
});
