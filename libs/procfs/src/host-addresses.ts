import { networkInterfaces } from 'node:os';

/** Addresses of the interfaces that are up in the caller's network namespace, loopback's included, without scopes. */
export function hostAddresses(): string[] {
  const addresses = new Set<string>();
  for (const interfaces of Object.values(networkInterfaces())) {
    for (const { address } of interfaces ?? []) addresses.add(address);
  }
  return [...addresses].sort();
}
