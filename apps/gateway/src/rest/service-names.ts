import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';

/** One line of an `/etc/services` file (services(5)). */
export const serviceNameSchema = z
  .strictObject({
    name: z.string().meta({ description: 'Official name.' }),
    port: z.int().min(0).max(65535),
    protocol: z.string().meta({ description: 'Transport in capitals: TCP, UDP, …' }),
    aliases: z.array(z.string()).optional(),
  })
  .meta({ title: 'ServiceName', description: 'The name of a port, from /etc/services or a file.' });

export type ServiceName = z.infer<typeof serviceNameSchema>;

const maxFileBytes = 4 << 20;
const maxEntries = 65_536;
const maxNameLength = 128;

/** What a file gave, and how many of its lines are none of services(5). */
export interface ParsedServices {
  readonly services: readonly ServiceName[];
  readonly badLines: number;
}

/**
 * Reads the text of a services file: `name port/protocol [aliases…] [# comment]` a line. Lines of
 * another form are counted and skipped; beyond 65,536 entries the rest is.
 */
export function parseServices(text: string): ParsedServices {
  const services: ServiceName[] = [];
  let badLines = 0;
  for (const line of text.split('\n')) {
    const [name, where, ...aliases] = (line.split('#', 1)[0] ?? '').trim().split(/\s+/);
    if (name === undefined || name === '') continue;
    const match = /^(\d{1,5})\/([A-Za-z0-9-]{1,16})$/.exec(where ?? '');
    const port = Number(match?.[1] ?? -1);
    const names = [name, ...aliases];
    if (
      match?.[2] === undefined ||
      port > 65_535 ||
      services.length >= maxEntries ||
      names.some((each) => each.length > maxNameLength)
    ) {
      badLines += 1;
      continue;
    }
    const entry = { name, port, protocol: match[2].toUpperCase() };
    services.push(aliases.length > 0 ? { ...entry, aliases } : entry);
  }
  return { services, badLines };
}

/**
 * Names from the given files, later ones overriding earlier ones for the same port and protocol.
 * @throws Error when a file cannot be read or is larger than 4 MiB
 */
export function loadServices(files: readonly string[]): ParsedServices {
  const byPort = new Map<string, ServiceName>();
  let badLines = 0;
  for (const file of files) {
    const { size } = statSync(file);
    if (size > maxFileBytes) throw new Error(`${file} is larger than ${maxFileBytes} bytes`);
    const parsed = parseServices(readFileSync(file, 'utf8'));
    badLines += parsed.badLines;
    for (const entry of parsed.services) byPort.set(`${entry.port}/${entry.protocol}`, entry);
  }
  const services = [...byPort.values()].sort(
    (a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1),
  );
  return { services, badLines };
}
