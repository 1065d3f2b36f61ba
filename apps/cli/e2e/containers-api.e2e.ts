import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { ContainerEvent, LogLine } from '@netstatd/events';
import {
  acting,
  CONTAINERS,
  describeOn,
  Door,
  startUp,
  upProgram,
  WHOLE_CHAIN,
  type Up,
} from '@netstatd/testkit';
import { containerId, TestContainerd, type Pod } from '@netstatd/testkit/containerd';

const MANY = 5000;

describeOn([...WHOLE_CHAIN, ...CONTAINERS], 'thousands of containers (A20)', () => {
  let ctd: TestContainerd;
  let up: Up;
  let pod: Pod;
  let door: Door;
  const ids = Array.from({ length: MANY }, containerId);

  beforeAll(async () => {
    ctd = await TestContainerd.start();
    door = await Door.open();
    await ctd.api.create('many', ids);
    pod = await ctd.pod({
      ...{ name: 'cart', namespace: 'shop', uid: 'uid-of-cart' },
      containers: { web: acting('web', ctd.gateway, door), log: ['sleep', '3600'] },
    });
    await ctd.pod({
      ...{ name: 'cart', namespace: 'bank', uid: 'uid-of-other', hostNetwork: true },
      containers: { main: ['sleep', '3600'] },
    });
    up = await startUp({ env: { CONTAINERD_SOCKET: ctd.socket } });
  });
  // One hook each: what a failed start left undone keeps nothing else from being cleaned up.
  afterAll(() => up.stop());
  afterAll(() => ctd.close());
  afterAll(() => door.close());

  /** The containers of all pages of a list. */
  async function all(query: string): Promise<ContainerEvent[]> {
    const items: ContainerEvent[] = [];
    let cursor = '';
    do {
      const page = (await up.get(`/api/containers?${query}${cursor}`)) as {
        items: ContainerEvent[];
        next?: string;
      };
      items.push(...page.items);
      cursor = page.next === undefined ? '' : `&cursor=${page.next}`;
    } while (cursor !== '');
    return items;
  }

  it.each([1, 3].map((n) => Math.ceil(MANY / n) + 1).concat(700, 10_000))(
    'are listed in pages of %i, each once',
    async (limit) => {
      const listed = (await all(`limit=${limit}`))
        .filter(({ containerdNamespace }) => containerdNamespace === 'many')
        .map(({ containerUid }) => containerUid);
      expect(listed).toHaveLength(MANY);
      expect(listed.sort()).toEqual([...ids].sort());
    },
  );

  it('are listed while others come and go', async () => {
    const more = Array.from({ length: 200 }, containerId);
    const [listed] = await Promise.all([all('limit=100'), ctd.api.create('more', more)]);
    const known = new Set(ids);
    const seen = listed.map(({ containerUid }) => containerUid).filter((id) => known.has(id));
    expect(seen).toHaveLength(MANY);
    expect(new Set(seen).size).toBe(MANY);
  });

  it.each(['pod', 'podName'])('are found by namespace and %s', async (parameter) => {
    const found = async (query: string) =>
      (await all(query))
        .map((each) => `${each.namespace}/${each.podName}/${each.containerName}`)
        .sort();
    const shop = ['shop/cart/log', 'shop/cart/undefined', 'shop/cart/web'];
    const bank = ['bank/cart/main', 'bank/cart/undefined'];
    expect(await found('namespace=shop')).toEqual(shop);
    expect(await found(`${parameter}=cart`)).toEqual([...bank, ...shop]);
    expect(await found(`${parameter}=cart&namespace=bank`)).toEqual(bank);
    expect(await found(`${parameter}=none`)).toEqual([]);
    expect(await found('container=web&limit=1')).toEqual(['shop/cart/web']);
  });

  it('have their labels', async () => {
    const [web] = await all(`container=${pod.containers.web!}`);
    expect(web?.labels).toMatchObject({
      'io.kubernetes.pod.name': 'cart',
      'io.kubernetes.pod.namespace': 'shop',
      'io.kubernetes.pod.uid': 'uid-of-cart',
      'io.kubernetes.container.name': 'web',
    });
    const [one] = await all(`container=${ids[0]!}`);
    expect(one).toMatchObject({ labels: { made: 'by test' }, runtime: 'containerd' });
    expect(one).not.toHaveProperty('pid');
  });

  it('stand in the log with their pods (B02)', async () => {
    const url = up.url('/conntrack').href.replace('http', 'ws');
    const log = spawn(
      process.execPath,
      [upProgram, 'log', '--pod', 'cart', '--namespace', 'shop', '--url', url],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    try {
      const lines: LogLine[] = [];
      const types = () => new Set(lines.map(({ type }) => type));
      for await (const line of createInterface(log.stdout)) {
        lines.push(JSON.parse(line) as LogLine);
        if (types().has('CONNECT') && types().has('CLOSE')) break;
      }
      for (const { container } of lines)
        expect(container).toEqual({
          container_id: pod.containers.web!.slice(0, 12),
          pod_name: 'cart',
          pod_namespace: 'shop',
          container_name: 'web',
        });
    } finally {
      const gone = once(log, 'exit');
      log.kill('SIGKILL');
      await gone;
    }
  });
});
