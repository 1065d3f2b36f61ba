import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { ConnectionEvent, NetstatdEvent } from '@netstatd/events';
import type { TestContainerd } from './containerd.ts';
import type { Door } from './door.ts';
import type { Recorder } from './recorder.ts';
import type { Truth } from './traffic.ts';
import { waitFor } from './wait.ts';

/** How a container is told, beside its id. */
export interface PodNames {
  readonly podName?: string;
  readonly namespace?: string;
  readonly containerName?: string;
}

/** Where a container's own ports are. */
export interface OwnPorts {
  readonly tcp: number;
  readonly udp: number;
}

/**
 * The command of a container that listens on a TCP and a UDP port, and connects and sends to its door until it is
 * ended. It says what its ports are in a file of the shared directory.
 * @param name of that file
 */
export const acting = (name: string, to: string, door: Door): string[] => [
  'sh',
  '-c',
  `cd /shared
  { echo go; echo go; exec sleep 3600; } | ./traffic-listener listen > ${name}.tcp &
  { echo go; exec sleep 3600; } | ./traffic-receiver receive --count 1000000 > ${name}.udp &
  while :; do
    echo go | ./traffic-client connect --to ${to} --port ${door.tcp} --count 5 > /dev/null
    echo go | ./traffic-sender send --to ${to} --port ${door.udp} > /dev/null
    sleep 0.1
  done`,
];

/**
 * The command of a container that waits for the file `go` in the shared directory, connects and sends so many times,
 * each datagram from a port of its own, and then sleeps.
 */
export const connecting = (
  to: string,
  door: Door,
  { connections, datagrams }: { connections: number; datagrams: number },
): string[] => [
  'sh',
  '-c',
  `cd /shared
  while [ ! -e go ]; do sleep 0.05; done
  echo go | ./traffic-client connect --to ${to} --port ${door.tcp} --count ${connections} > /dev/null &
  n=0
  while [ $n -lt ${datagrams} ]; do
    echo go | ./traffic-sender send --to ${to} --port ${door.udp} > /dev/null
    n=$((n + 1))
  done
  sleep 3600`,
];

/** The command of a container that makes one connection, and ends after so many seconds. */
export const connectingOnce = (to: string, door: Door, seconds: number): string[] => [
  'sh',
  '-c',
  `echo go | /shared/traffic-client connect --to ${to} --port ${door.tcp} > /dev/null
  sleep ${seconds}`,
];

/** What connects to a door: a container, or a process of the host when it has no id. */
export interface Connecting {
  readonly containerUid?: string;
  readonly names: PodNames;
  readonly door: Door;
}

/** A container that acts, and what is known of it without netstatd. */
export class Actor implements Connecting {
  readonly name: string;
  readonly containerUid: string;
  readonly containerdNamespace: string;
  readonly names: PodNames;
  readonly door: Door;
  /** An address at which its ports can be reached. */
  readonly ip: string;

  constructor(actor: Omit<Actor, 'ports' | 'probe' | 'said'>) {
    this.name = actor.name;
    this.containerUid = actor.containerUid;
    this.containerdNamespace = actor.containerdNamespace;
    this.names = actor.names;
    this.door = actor.door;
    this.ip = actor.ip;
  }

  /** The ports that it listens on, by its own word. */
  async ports(ctd: TestContainerd): Promise<OwnPorts> {
    const [tcp, udp] = await Promise.all([
      this.said(ctd, 'tcp', 'listening'),
      this.said(ctd, 'udp', 'ready'),
    ]);
    await this.said(ctd, 'tcp', 'ready');
    return { tcp: tcp.port ?? 0, udp: udp.port ?? 0 };
  }

  said(ctd: TestContainerd, kind: 'tcp' | 'udp', event: Truth['event']): Promise<Truth> {
    return waitFor(`${event} of ${this.name}`, () => {
      const lines = linesOf(join(ctd.shared, `${this.name}.${kind}`));
      return lines.map((line) => JSON.parse(line) as Truth).find((truth) => truth.event === event);
    });
  }

  /** Connects and sends to its ports; gives the ports at this end. */
  async probe({ tcp, udp }: OwnPorts, connections: number): Promise<OwnPorts[]> {
    const made: OwnPorts[] = [];
    for (let n = 0; n < connections; n++) {
      const socket = connect(tcp, this.ip);
      await once(socket, 'connect');
      const sender = createSocket('udp4');
      sender.send('x', udp, this.ip);
      await once(sender, 'listening');
      made.push({ tcp: socket.localPort ?? 0, udp: sender.address().port });
      const closed = once(socket, 'close');
      socket.end('x').resume();
      await closed;
      sender.close();
    }
    return made;
  }
}

/** Whole lines of a file that is being written; none before it is there. */
function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(0, -1);
  } catch {
    return [];
  }
}

/** Addresses of a network namespace but loopback and link-local ones, as ip(8) tells them, sorted. */
export function addressesIn(netns: string): string[] {
  const command = ['ip', '-j', 'addr', 'show', 'scope', 'global'];
  // ip(8) complains about ends of links that are elsewhere.
  const stdio = ['ignore', 'pipe', 'ignore'] as const;
  const text = execFileSync('nsenter', [`--net=${netns}`, ...command], { stdio: [...stdio] });
  const links = JSON.parse(text.toString()) as { addr_info?: { local: string }[] }[];
  return links.flatMap(({ addr_info = [] }) => addr_info.map(({ local }) => local)).sort();
}

/** Inode of the network namespace of a process. */
export const netnsOf = (pid: number): number =>
  Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[0]);

/** Whether an event is of the end of a connection or flow that leads to a door. */
const leadsTo = ({ direction, protocol, remotePort }: ConnectionEvent, door: Door): boolean =>
  direction === 'outbound' && remotePort === (protocol === 'TCP' ? door.tcp : door.udp);

/** What an event names, in words. */
const named = (
  event: Partial<Record<keyof PodNames | 'containerUid', string | undefined>>,
): string => [event.containerUid, event.namespace, event.podName, event.containerName].join(' ');

/** Its own end's events that were told of somebody else, or not by their full names. */
export function misnamed(recorder: Recorder, actor: Connecting): ConnectionEvent[] {
  const right = named({ ...actor.names, containerUid: actor.containerUid });
  return recorder.connections((event) => leadsTo(event, actor.door) && named(event) !== right);
}

/** Local ports of its connections to the door that were seen to be established, sorted. */
export function establishedPorts(
  recorder: Recorder,
  actor: Connecting,
  protocol: 'TCP' | 'UDP',
): number[] {
  const ports = recorder
    .connections((event) => event.state === 'ESTABLISHED' && event.protocol === protocol)
    .filter((event) => leadsTo(event, actor.door))
    .map(({ localPort }) => localPort ?? 0);
  return [...new Set(ports)].sort((a, b) => a - b);
}

export const sortedPorts = (ports: Iterable<number>): number[] =>
  [...new Set(ports)].sort((a, b) => a - b);

/** Whether an event names a container. */
export const isOfContainer = (event: NetstatdEvent, containerUid: string): boolean =>
  'containerUid' in event && event.containerUid === containerUid;
