/** podsonar's own image, made by the stages of the Dockerfile, but without a container builder. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { version } from '../src/common/version.ts'
import { unpacked } from './needs.ts'
import { writeOciImage, type ImageConfig } from './oci-image.ts'
import { run } from './process.ts'
import { buildRootfs } from './rootfs.ts'

const project = fileURLToPath(new URL('../', import.meta.url))

/** As deploy/kubernetes names it, and as a runtime completes that name. */
const podsonarImage = `docker.io/library/podsonar:${version}`

/** The Dockerfile's stages: their instructions, comments left out. */
export async function dockerfileStages(): Promise<string[][]> {
  const text = await readFile(join(project, 'Dockerfile'), 'utf8')
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const starts = lines.flatMap((line, at) => (line.startsWith('FROM ') ? [at] : []))
  return starts.map((at, index) => lines.slice(at, starts[index + 1]))
}

/** What the last stage of the Dockerfile says besides its files. */
export async function imageConfig(): Promise<ImageConfig> {
  const stage = (await dockerfileStages()).at(-1) ?? []
  const value = (instruction: string): string => {
    const found = stage.find((line) => line.startsWith(`${instruction} `))?.slice(instruction.length + 1)
    if (found === undefined)
      throw new Error(`Cannot read the Dockerfile: its last stage has no ${instruction}`)
    return found
  }
  return {
    Entrypoint: JSON.parse(value('ENTRYPOINT')) as string[],
    Env: value('ENV').split(' '),
    User: value('USER'),
  }
}

/**
 * Builds podsonar and its image.
 *
 * @returns the path of an OCI layout tar, inside `folder`
 */
export async function buildPodsonarImage(folder: string): Promise<string> {
  await run(process.execPath, [join(project, 'scripts/build.ts')], { cwd: project })
  const rootfs = join(folder, 'rootfs')
  await buildRootfs(rootfs)
  return writeOciImage(folder, { rootfs, name: podsonarImage, config: await imageConfig() })
}

/** Imports an OCI layout tar into a containerd, for Kubernetes. */
export async function importImage(socket: string, image: string): Promise<void> {
  const ctr = join(await unpacked('containerd'), 'usr/bin/ctr')
  await run(ctr, ['--address', socket, '--namespace', 'k8s.io', 'images', 'import', image])
}
