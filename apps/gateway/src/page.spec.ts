import { StatusPublisher } from '@netstatd/stream';
import { describeOn, waitFor } from '@netstatd/testkit';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { Machine } from './fixtures/machine.ts';
import type { ScriptedNode } from './fixtures/scripted-node.ts';

const executablePath = '/usr/bin/chromium';
/** PAGE_SCREENSHOTS=folder keeps a picture of every state, to be looked at. */
const screenshots = process.env.PAGE_SCREENSHOTS;

let uiFolder: string;
let browser: Browser;
let machine: Machine;
let node: ScriptedNode;
let page: Page;
const complaints: string[] = [];

async function show(name: string): Promise<void> {
  if (screenshots !== undefined) await page.screenshot({ path: join(screenshots, `${name}.png`) });
}

const text = (selector: string) => page.locator(selector).first().innerText();

async function open(options: { width?: number; dark?: boolean } = {}): Promise<void> {
  const { width = 1280, dark = false } = options;
  const colorScheme = dark ? 'dark' : 'light';
  page = await browser.newPage({ viewport: { width, height: 720 }, colorScheme });
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(machine.http('/'));
}

describeOn(['chromium', 'nats'], 'the page', () => {
  beforeAll(async () => {
    uiFolder = mkdtempSync(join(tmpdir(), 'netstatd-ui-'));
    execFileSync(process.execPath, [join(__dirname, '../../ui/build.mjs'), uiFolder]);
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  }, 60_000);

  afterAll(async () => {
    await browser.close();
    rmSync(uiFolder, { recursive: true });
  });

  beforeEach(async () => {
    complaints.length = 0;
    machine = await Machine.start({ uiFolder });
    node = await machine.node('alpha');
    await waitFor('the bus', () => node.bus.connected && machine.bus.connected);
  });

  afterEach(async () => {
    await page.close();
    await machine.stop();
  });

  it('shows connections as they come, change and go', async () => {
    node.connect(1, { comm: 'curl', exe: '/usr/bin/curl', pid: 42 });
    await open();
    await page.getByText('/usr/bin/curl').waitFor();
    expect(await text('.line')).toContain('192.0.2.1:443');
    await page.getByText('Live').waitFor();
    node.connect(2, {
      state: 'CLOSE',
      closeReason: 'refused',
      remotePort: 9,
      remoteIP: '2001:db8::1',
    });
    await page.locator('.line.failed').waitFor();
    expect(await text('.line.failed')).toContain('[2001:db8::1]:9');
    node.disconnect(1);
    await page.locator('.line.closed').waitFor();
    await show('few');
    await page.locator('.line.closed').waitFor({ state: 'detached', timeout: 30_000 });
    expect(complaints).toEqual([]);
  }, 60_000);

  it('shows hostile names as text, every character visible', async () => {
    const hostile = '<img src=x onerror=alert(1)>\n\u001b[31m\u202egpj.exe</script>';
    node.connect(1, { comm: hostile });
    await open();
    const cell = page.locator('.line .process bdi');
    await cell.waitFor();
    expect(await cell.innerText()).toBe(
      '<img src=x onerror=alert(1)>\\x0a\\x1b[31m\\u{202e}gpj.exe</script>',
    );
    expect(await page.locator('img, .line script').count()).toBe(0);
    await show('hostile');
    expect(complaints).toEqual([]);
  });

  it('says by what a node is seen, when that does not show all', async () => {
    const capture = { source: 'procfs', missed: 'connects that fail' };
    const read = () => ({ ready: true, counters: {}, capture });
    const service = { service: 'collector', version: '1' };
    const collector = new StatusPublisher({ bus: node.bus, node: 'alpha', ...service, read });
    await open();
    await page.getByText('alpha is read from /proc: not all is shown').click();
    await page.getByText('Not shown: connects that fail.').waitFor();
    await show('procfs');
    collector.close();
    expect(complaints).toEqual([]);
  });

  it('an empty table says why', async () => {
    await open({ dark: true });
    await page
      .getByText('No connection is open')
      .or(page.getByText('has not been heard'))
      .first()
      .waitFor();
    await show('empty-dark');
    node.connect(1);
    await page.locator('.line').waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('nothing like this');
    await page.getByText('None of the 1 connections matches the filter').waitFor();
    await show('nothing-matches-dark');
    expect(complaints).toEqual([]);
  });

  it('a node that does not answer is told, not shown as empty', async () => {
    node.publisher.close();
    await open({ width: 390 });
    await page.locator('.empty').getByText('waiting for the node').waitFor();
    await show('waiting-narrow');
  });

  it('reconnects to a gateway that was away, and is whole again', async () => {
    node.connect(1, { exe: '/bin/one' });
    await open();
    await page.getByText('/bin/one').waitFor();
    const ports = { nodePort: machine.gateway.nodePort };
    await machine.stopGateway();
    await page.getByText('Offline: the gateway does not answer').first().waitFor();
    await show('offline');
    node.disconnect(1);
    node.connect(2, { exe: '/bin/two' });
    await machine.startGateway(ports);
    await page.getByText('/bin/two').waitFor();
    await page.getByText('/bin/one').waitFor({ state: 'detached' });
    await page.getByText('Live').waitFor();
  }, 60_000);

  it('holds 20,000 connections with few rows in the page', async () => {
    for (let cookie = 1; cookie <= 20_000; cookie++) {
      node.connect(cookie, {
        pid: cookie,
        exe: `/usr/bin/program-${cookie}`,
        remotePort: (cookie % 60_000) + 1,
      });
    }
    await open();
    await page.getByText('20\u202f000 of 20\u202f000 shown').waitFor();
    expect(await page.locator('.line').count()).toBeLessThan(60);
    expect(await page.locator('.table').getAttribute('aria-rowcount')).toBe('20001');
    await show('full');
    await page.locator('.table').focus();
    await page.keyboard.press('End');
    await page.getByText('/usr/bin/program-1', { exact: true }).waitFor();
    await page.getByRole('searchbox').fill('program-19999');
    await page.getByText('1 of 20\u202f000 shown').waitFor();
    await show('filtered');
    await page.setViewportSize({ width: 390, height: 800 });
    await page.getByRole('searchbox').fill('');
    await page.getByText('20\u202f000 of 20\u202f000 shown').waitFor();
    await show('full-narrow');
    expect(complaints).toEqual([]);
  }, 60_000);
});
