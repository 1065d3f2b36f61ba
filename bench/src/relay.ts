/**
 * The bare chain: takes the same messages in and puts the same number of bytes out, but looks at nothing. As
 * "bus" it stands for the enricher, as "web" for the gateway. Arguments: role, bytes of one event on the bus,
 * the event as text. NATS_URL is the bus.
 */
import { connectBus, subjects, type Bus } from '@netstatd/bus';
import { BatchReader } from '@netstatd/records';
import { WebSocketServer } from 'ws';
import { FRAME_MS, RELAY_NODE } from './parts/relay.ts';

const [, , role, busBytes = '0', eventText = '', eventsPerRecord = '0'] = process.argv;
const { raw, events } = subjects(RELAY_NODE);

/** From raw batches to batches of as many bytes as their events would have. */
function relayOnBus(bus: Bus): void {
  const reader = new BatchReader();
  let owed = 0;
  bus.subscribe(raw, (payload) => {
    reader.load(payload);
    owed += reader.records * Number(eventsPerRecord);
    while (owed >= 1) {
      const count = Math.min(512, Math.floor(owed));
      owed -= count;
      const message = Buffer.allocUnsafe(Math.round(count * Number(busBytes)) + 4);
      message.writeUInt32LE(count);
      bus.publish(events, message);
    }
  });
}

/** From those to frames of as many bytes as their JSON would have. */
function relayToWeb(bus: Bus): void {
  const most = Buffer.from(`[${Array<string>(65536).fill(eventText).join(',')}`);
  let owed = 0;
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  server.on('listening', () => process.send?.(server.address()));
  server.on('connection', (socket) => {
    const timer = setInterval(() => {
      for (; owed > 0; owed -= Math.min(owed, 65536)) {
        const bytes = Math.min(owed, 65536) * (eventText.length + 1);
        socket.send(Buffer.from(most.subarray(0, bytes)), { binary: false });
      }
    }, FRAME_MS);
    socket.on('close', () => clearInterval(timer));
  });
  bus.subscribe(events, (payload) => {
    owed += Buffer.from(payload.buffer, payload.byteOffset, 4).readUInt32LE();
  });
}

void connectBus({ url: process.env.NATS_URL ?? '', name: `relay-${role ?? ''}` }).then((bus) => {
  if (role === 'bus') relayOnBus(bus);
  else relayToWeb(bus);
  bus.onChange((connected) => {
    if (connected && role === 'bus') process.send?.('ready');
  });
});
process.on('disconnect', () => process.exit(0));
