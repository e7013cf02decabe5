/** A clang that compiles eBPF, and libbpf's headers: the system's, else Debian's, unpacked. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { missingForDebian, unpackDebian } from './debian.ts'
import { run } from './process.ts'

export interface Clang {
  readonly program: string
  /** Folders with bpf/bpf_helpers.h in them, as -I arguments. */
  readonly includes: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/** clang 14 with every library that it is linked to and an image or a small machine may lack. */
const packages = [
  ...[
    'clang-14',
    'libclang-cpp14',
    'libllvm14',
    'libbpf-dev',
    'libstdc++6',
    'libgcc-s1',
    'libxml2',
    'libicu72',
  ],
  ...['liblzma5', 'libedit2', 'libbsd0', 'libmd0', 'libtinfo6', 'libz3-4', 'libffi8', 'zlib1g'],
]

/** @throws Error when there is none and none can be had. */
export async function findClang(): Promise<Clang> {
  if (existsSync('/usr/include/bpf/bpf_helpers.h')) {
    for (const program of ['clang', 'clang-14', 'clang-15', 'clang-16', 'clang-19']) {
      const version = await run(program, ['--version']).catch(() => undefined)
      if (version !== undefined) return { program, includes: [], env: process.env }
    }
  }
  const impossible = missingForDebian()
  if (impossible !== undefined)
    throw new Error(`Cannot compile eBPF: no clang with libbpf's headers is installed, and ${impossible}`)
  const root = await unpackDebian('bookworm', packages)
  const folders = [join(root, 'usr/lib', multiarch()), join(root, 'lib', multiarch())]
  return {
    program: join(root, 'usr/lib/llvm-14/bin/clang'),
    includes: ['-I', join(root, 'usr/include')],
    env: { ...process.env, LD_LIBRARY_PATH: folders.join(':') },
  }
}

/** Debian's name of this machine's architecture, as in /usr/lib/x86_64-linux-gnu. */
export function multiarch(): string {
  return process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
}
