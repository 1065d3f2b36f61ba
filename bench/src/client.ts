/**
 * A WebSocket client in a process of its own, so that it takes a processor as a real one would: asks for batches
 * and counts without making objects. Arguments: address; what to count and, each after a bar, what besides; and
 * words: "stamps" to note arrivals, "single" for one event a frame.
 */
import WebSocket from 'ws';

export interface Counted {
  events: number;
  bytes: number;
  /** Events that the gateway says it did not send. */
  dropped: number;
  /** What was to be counted besides. */
  also: number[];
  /** On request: cookie and arrival, milliseconds since 1970, of each outbound ESTABLISHED. */
  stamps?: [number, number][];
}

const [, , url = '', wanted = '', mode = ''] = process.argv;
const [needle = '', ...others] = wanted.split('|');
interface Told {
  type: string;
  dropped?: number;
}

const counted: Counted = { events: 0, bytes: 0, dropped: 0, also: others.map(() => 0) };
const stamps: [number, number][] = [];
let told = -1;

function count(data: Buffer, text: string): number {
  let found = 0;
  for (let at = data.indexOf(text); at >= 0; at = data.indexOf(text, at + text.length)) found++;
  return found;
}

function note(data: Buffer, arrival: number): void {
  const outbound = /"state":"ESTABLISHED","direction":"outbound","sockCookie":(\d+)/g;
  for (const [, cookie] of data.toString('latin1').matchAll(outbound))
    stamps.push([Number(cookie), arrival]);
}

const protocols = mode.includes('single') ? [] : ['netstatd.v1.batch'];
const socket = new WebSocket(url, protocols, { perMessageDeflate: false });
socket.on('message', (data: Buffer) => {
  const arrival = performance.timeOrigin + performance.now();
  counted.bytes += data.length;
  counted.events += count(data, needle);
  for (const [i, other] of others.entries())
    counted.also[i] = (counted.also[i] ?? 0) + count(data, other);
  if (data.includes('"stream.lagged"')) {
    for (const { type, dropped } of [JSON.parse(data.toString()) as Told | Told[]].flat())
      if (type === 'stream.lagged') counted.dropped += dropped ?? 0;
  }
  if (mode.includes('stamps')) note(data, arrival);
  if (data.includes('"snapshot.complete"')) process.send?.('open');
});
socket.on('open', () => {
  if (url.includes('snapshot=false')) process.send?.('open');
});
socket.on('error', (error) => {
  process.stderr.write(`client: ${error.message}\n`);
  process.exit(1);
});
process.on('message', () => process.send?.({ ...counted, stamps }));
process.on('disconnect', () => process.exit(0));
setInterval(() => {
  if (counted.events + counted.dropped === told) return;
  told = counted.events + counted.dropped;
  process.send?.(counted);
}, 5);
