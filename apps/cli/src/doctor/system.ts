import { accessSync, constants, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The files by which Linux tells about itself, below a root that a test may choose. */
export class System {
  readonly #root: string;

  constructor(root = '/') {
    this.#root = root;
  }

  path(path: string): string {
    return join(this.#root, path);
  }

  /** Text of a small file without its last line end; undefined when it cannot be read. */
  text(path: string): string | undefined {
    try {
      return readFileSync(this.path(path), 'utf8').trimEnd();
    } catch {
      return undefined;
    }
  }

  link(path: string): string | undefined {
    try {
      return readlinkSync(this.path(path));
    } catch {
      return undefined;
    }
  }

  bytes(path: string): number | undefined {
    try {
      return statSync(this.path(path)).size;
    } catch {
      return undefined;
    }
  }

  exists(path: string): boolean {
    return this.bytes(path) !== undefined;
  }

  may(path: string, mode: 'R_OK' | 'W_OK'): boolean {
    try {
      accessSync(this.path(path), constants[mode]);
      return true;
    } catch {
      return false;
    }
  }
}
