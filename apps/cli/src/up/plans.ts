import { replayedFile, type UpSettings } from './settings.ts';

/** A service of one machine and the flags it is started with. */
export interface ServicePlan {
  name: 'collector' | 'enricher' | 'gateway';
  args: string[];
}

/** Readers before writers: the enricher listens before the collector's first records. */
export function servicePlans(settings: UpSettings): ServicePlan[] {
  const common = [`--node-name=${settings.nodeName}`, `--log-level=${settings.logLevel}`];
  const onOff = (name: string, on: boolean) => (on ? `--${name}` : `--no-${name}`);
  return [
    {
      name: 'enricher',
      args: [
        ...common,
        `--health-port=${settings.enricherPort}`,
        onOff('replay', replayedFile(settings.source) !== undefined),
        ...(settings.containerdSocket === undefined
          ? []
          : [`--containerd-socket=${settings.containerdSocket}`]),
      ],
    },
    {
      name: 'gateway',
      args: [
        ...common,
        `--node-port=${settings.gatewayPort}`,
        `--cluster-port=${settings.clusterPort}`,
      ],
    },
    {
      name: 'collector',
      args: [
        ...common,
        `--health-port=${settings.collectorPort}`,
        `--source=${settings.source}`,
        ...(settings.record === undefined ? [] : [`--record=${settings.record}`]),
        onOff('loopback', settings.loopback),
        onOff('udp', settings.udp),
        `--ring-bytes=${settings.ringBytes}`,
        ...(settings.without === undefined ? [] : [`--without=${settings.without}`]),
      ],
    },
  ];
}
