/** Container images without a builder and a registry: an OCI image layout as one tar file that `ctr` and Docker import. */
import { createHash } from 'node:crypto'
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './process.ts'

/** The image's name. Without a command it sleeps, which also makes it a pause image. */
export const imageName = 'docker.io/podsonar/busybox:lab'

/**
 * Writes the root file system: busybox with all its applets in /bin. /lib and /lib64 lead into /usr, so that a pod
 * that mounts the host's /usr can run the host's programs.
 *
 * @returns its folder, inside `folder`
 */
export async function writeRootfs(folder: string, busybox: string): Promise<string> {
  const rootfs = join(folder, 'rootfs')
  for (const name of ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'usr'])
    await mkdir(join(rootfs, name), { recursive: true })
  await copyFile(busybox, join(rootfs, 'bin/busybox'))
  const applets = (await run(busybox, ['--list'])).split('\n')
  for (const applet of applets)
    if (applet !== '' && applet !== 'busybox') await symlink('busybox', join(rootfs, 'bin', applet))
  for (const name of ['lib', 'lib64']) await symlink(`usr/${name}`, join(rootfs, name))
  return rootfs
}

/**
 * Writes the busybox image as an OCI layout tar.
 *
 * @returns its path, inside `folder`
 */
export async function writeImage(folder: string, busybox: string): Promise<string> {
  const rootfs = await writeRootfs(folder, busybox)
  return writeOciImage(folder, {
    rootfs,
    name: imageName,
    config: { Entrypoint: ['/bin/sleep', '1000000000'], Env: ['PATH=/bin:/usr/sbin:/usr/bin'] },
  })
}

/** The part of an OCI image's `config` that is used (image-spec, config.md). */
export interface ImageConfig {
  readonly Entrypoint: readonly string[]
  readonly Env?: readonly string[]
  readonly User?: string
}

export interface ImageContent {
  /** The root file system's folder. */
  readonly rootfs: string
  /** As a runtime lists it, with its registry and tag: `docker.io/library/podsonar:0.1.0`. */
  readonly name: string
  readonly config: ImageConfig
}

/**
 * Writes an image of one layer, for this machine's architecture, as an OCI layout tar.
 *
 * @returns its path, inside `folder`
 */
export async function writeOciImage(
  folder: string,
  { rootfs, name, config: settings }: ImageContent,
): Promise<string> {
  const layout = join(folder, 'oci')
  const blobs = join(layout, 'blobs/sha256')
  await mkdir(blobs, { recursive: true })
  const layer = join(folder, 'layer.tar')
  await run('tar', ['--owner=0', '--group=0', '--numeric-owner', '-C', rootfs, '-cf', layer, '.'])

  /** Stores a blob; gives what a manifest says of it. */
  const blob = async (mediaType: string, content: Buffer | object): Promise<Descriptor> => {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content))
    const hash = createHash('sha256').update(bytes).digest('hex')
    await writeFile(join(blobs, hash), bytes)
    return { mediaType, digest: `sha256:${hash}`, size: bytes.length }
  }
  const layerBlob = await blob('application/vnd.oci.image.layer.v1.tar', await readFile(layer))
  const config = await blob('application/vnd.oci.image.config.v1+json', {
    architecture: { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch,
    os: 'linux',
    config: settings,
    rootfs: { type: 'layers', diff_ids: [layerBlob.digest] },
  })
  const manifest = await blob('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config,
    layers: [layerBlob],
  })
  const annotations = { 'io.containerd.image.name': name }
  await writeFile(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  )
  await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  const image = join(folder, 'image.tar')
  await run('tar', ['-C', layout, '-cf', image, '.'])
  return image
}

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}
