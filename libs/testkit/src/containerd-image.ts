import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What containers of tests run: busybox under its usual names, and nothing else. */
export const IMAGE = 'localhost/netstatd/busybox:1';
const BUSYBOX = '/bin/busybox';
const NAMES = ['sh', 'sleep', 'nc', 'cat', 'true', 'ip', 'wget', 'httpd', 'echo', 'trap'];

/**
 * Makes an archive of the image in the OCI layout, below `dir`, from the static busybox of this machine.
 * @returns the archive's path
 */
export function makeImage(dir: string): string {
  const [tree, layout, archive] = [join(dir, 'tree'), join(dir, 'layout'), join(dir, 'image.tar')];
  mkdirSync(join(tree, 'bin'), { recursive: true });
  mkdirSync(join(tree, 'tmp'));
  mkdirSync(join(tree, 'etc'));
  copyFileSync(BUSYBOX, join(tree, 'bin', 'busybox'));
  for (const name of NAMES) symlinkSync('busybox', join(tree, 'bin', name));

  const blobs = join(layout, 'blobs', 'sha256');
  mkdirSync(blobs, { recursive: true });
  const blob = (mediaType: string, bytes: Buffer) => {
    const hash = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(blobs, hash), bytes);
    return { mediaType, digest: `sha256:${hash}`, size: bytes.length };
  };
  const json = (mediaType: string, value: object) =>
    blob(mediaType, Buffer.from(JSON.stringify(value)));
  const tar = (from: string, to: string) =>
    execFileSync('tar', ['--owner=0', '--group=0', '--numeric-owner', '-C', from, '-cf', to, '.']);

  const layerTar = join(dir, 'layer.tar');
  tar(tree, layerTar);
  const layer = blob('application/vnd.oci.image.layer.v1.tar', readFileSync(layerTar));
  const config = json('application/vnd.oci.image.config.v1+json', {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Env: ['PATH=/bin'], Cmd: ['sleep', '3600'] },
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  });
  const manifest = json('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    config,
    layers: [layer],
  });
  const annotations = { 'io.containerd.image.name': IMAGE };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  writeFileSync(join(layout, 'index.json'), JSON.stringify(index));
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  tar(layout, archive);
  return archive;
}
