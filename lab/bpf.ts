/** The eBPF objects, compiled from src/exporter/bpf, for development, tests and the image. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findClang } from './clang.ts'
import { run } from './process.ts'

const sources = fileURLToPath(new URL('../src/exporter/bpf/', import.meta.url))
/** Where a program that runs from src/ finds them: src/exporter/ebpf/objects.ts. */
export const bpfFolder: string = fileURLToPath(new URL('../build/bpf/', import.meta.url))

/** By Node's name of an architecture: libbpf's. */
const architectures = { x64: 'x86', arm64: 'arm64' } as const

interface ObjectSource {
  readonly source: string
  /** What is defined for it. */
  readonly defines: readonly string[]
  /** Version of the instruction set. @default clang's own, which is v1 of clang 14 */
  readonly instructions?: 'v2'
}

/**
 * Every object, by name. The second version of the instruction set compares with constants at once: Linux 6.1 understands
 * the bounds that come of that, where it takes detours through registers for accesses out of bounds.
 */
const objects: Readonly<Record<string, ObjectSource>> = {
  'socket-table': { source: 'socket-table.bpf.c', defines: [] },
  'socket-table-probe': { source: 'socket-table.bpf.c', defines: ['PROBE_READS'] },
  'tcp-health': { source: 'tcp-health.bpf.c', defines: [] },
  requests: { source: 'requests.bpf.c', defines: [] },
  'requests-syscalls': { source: 'requests-syscalls.bpf.c', defines: [] },
  stack: { source: 'stack.bpf.c', defines: [], instructions: 'v2' },
  sockops: { source: 'sockops.bpf.c', defines: [] },
  'connection-events': { source: 'connection-events.bpf.c', defines: [] },
}

const flags = ['-O2', '-g', '-Wall', '-Werror', '-target', 'bpf']

/**
 * Compiles every object for every architecture into build/bpf/ARCH/NAME.bpf.o, unless what is there was compiled from the
 * same sources.
 *
 * @throws Error with clang's words
 */
export async function buildBpf(): Promise<void> {
  const digest = await sourceDigest()
  if (isBuilt(digest)) return
  const work = `${bpfFolder.slice(0, -1)}.${process.pid}`
  const clang = await findClang()
  for (const [architecture, target] of Object.entries(architectures)) {
    await mkdir(join(work, architecture), { recursive: true })
    for (const [name, { source, defines, instructions }] of Object.entries(objects)) {
      const output = join(work, architecture, `${name}.bpf.o`)
      const defined = [`__TARGET_ARCH_${target}`, ...defines].map((define) => `-D${define}`)
      const version = instructions === undefined ? [] : [`-mcpu=${instructions}`]
      const args = [
        ...flags,
        ...version,
        ...defined,
        ...clang.includes,
        '-c',
        join(sources, source),
        '-o',
        output,
      ]
      await run(clang.program, args, { env: clang.env })
    }
  }
  await writeFile(join(work, 'digest'), digest)
  await rm(bpfFolder, { recursive: true, force: true })
  await rename(work, bpfFolder).catch(async (error: unknown) => {
    if (!isBuilt(digest)) throw error // else another process was faster
    await rm(work, { recursive: true, force: true })
  })
}

/** Why the objects are not there, or undefined. */
export function missingBpf(): string | undefined {
  return existsSync(join(bpfFolder, 'digest')) ? undefined : 'the eBPF objects could not be compiled'
}

function isBuilt(digest: string): boolean {
  const file = join(bpfFolder, 'digest')
  return existsSync(file) && readFileSync(file, 'utf8') === digest
}

async function sourceDigest(): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([flags, architectures, objects]))
  for (const name of (await readdir(sources)).filter((file) => /\.[ch]$/.test(file)).sort())
    hash.update(name).update(await readFile(join(sources, name)))
  return hash.digest('hex')
}
