/** podsonar as it is shipped: compiled, beside its package.json and proto files. */
import { chmod, copyFile, cp, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bpfFolder, buildBpf } from './bpf.ts'
import { run } from './process.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * Compiles the program into an empty folder.
 *
 * @param bpf whether its eBPF objects are built too, which needs clang
 * @returns the entry point, executable as it is
 */
export async function buildProgram(folder: string, bpf: boolean): Promise<string> {
  const dist = join(folder, 'dist')
  await run(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--outDir', dist], {
    cwd: root,
  })
  await copyFile(join(root, 'package.json'), join(folder, 'package.json'))
  await cp(join(root, 'proto'), join(folder, 'proto'), { recursive: true })
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  if (bpf) {
    await buildBpf()
    await cp(bpfFolder, join(dist, 'bpf'), { recursive: true })
  }
  const entry = join(dist, 'main.js')
  await chmod(entry, 0o755)
  return entry
}
