/** Consul as a container image, for a sidecar in a cluster without a registry: the program of Debian and what it links to. */
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { consulProgram } from './consul.ts'
import { writeOciImage } from './oci-image.ts'
import { copyLibraries, rootfsFolders } from './rootfs.ts'

/** The image's name and tag, as manifests give them. */
export const consulImage = { name: 'docker.io/podsonar/consul', tag: 'lab' }

/** @returns the path of an OCI layout tar, inside `folder` */
export async function buildConsulImage(folder: string): Promise<string> {
  const rootfs = join(folder, 'rootfs')
  await rootfsFolders(rootfs)
  await copyLibraries(rootfs, ['libc6'])
  await mkdir(join(rootfs, 'consul'))
  await copyFile(await consulProgram(), join(rootfs, 'usr/bin/consul'))
  return writeOciImage(folder, {
    rootfs,
    name: `${consulImage.name}:${consulImage.tag}`,
    config: { Entrypoint: ['/usr/bin/consul'], Env: ['PATH=/usr/bin'] },
  })
}
