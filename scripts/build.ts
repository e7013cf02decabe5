/**
 * `npm run build`: compiles src/ to dist/ with plain tsc, keeps the entry point executable, and adds the eBPF objects.
 * `-- --without-bpf` leaves those out: the exporter then reads /proc.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, rmSync } from 'node:fs'
import { bpfFolder, buildBpf } from '../lab/bpf.ts'

rmSync('dist', { recursive: true, force: true })
const { status } = spawnSync('tsc', ['-p', 'tsconfig.build.json'], { stdio: 'inherit' })
if (status === 0) chmodSync('dist/main.js', 0o755)
process.exitCode = status ?? 1
if (!process.argv.includes('--without-bpf')) {
  try {
    await buildBpf()
    cpSync(bpfFolder, 'dist/bpf', { recursive: true })
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    console.error('Install clang and libbpf-dev, or build with --without-bpf')
    process.exitCode = 1
  }
}
