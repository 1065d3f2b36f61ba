import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { spawnSync } from 'node:child_process';

/** Where figures were measured: they mean nothing elsewhere. */
export interface Machine {
  cpu: string;
  cpus: number;
  memoryGB: number;
  kernel: string;
  system: string;
  node: string;
  nats: string;
  virtual: string;
  measuredAt: string;
}

export function thisMachine(): Machine {
  const nats = spawnSync('nats-server', ['--version'], { encoding: 'utf8' }).stdout;
  const virtual = spawnSync('systemd-detect-virt', [], { encoding: 'utf8' }).stdout as
    string | null;
  const system = /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'));
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cpus: cpus().length,
    memoryGB: Math.round(totalmem() / 1e9),
    kernel: release(),
    system: system?.[1] ?? 'unknown',
    node: process.version,
    nats: nats.trim(),
    virtual: virtual?.trim() ?? 'unknown',
    measuredAt: new Date().toISOString(),
  };
}
