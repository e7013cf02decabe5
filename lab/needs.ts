/** What tests, benchmarks and the demo need of a machine, and why it is not there. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { buildBpf, missingBpf } from './bpf.ts'
import { multiarch } from './clang.ts'
import { missingForDebian, unpackDebian, unpackedFolder, type Suite, type UnpackOptions } from './debian.ts'

interface Listed extends UnpackOptions {
  readonly suite: Suite
  readonly names: readonly string[]
}

/** Debian packages that are unpacked, not installed, a name for each use. */
const packages = {
  consul: { suite: 'bullseye', names: ['consul'] },
  prometheus: { suite: 'bullseye', names: ['prometheus'] },
  containerd: {
    suite: 'bookworm',
    names: ['containerd', 'runc', 'containernetworking-plugins', 'busybox-static'],
  },
  docker: {
    suite: 'bookworm',
    names: ['docker.io', 'containerd', 'runc', 'busybox-static', 'libdevmapper1.02.1'],
  },
  'victoria-metrics': { suite: 'bookworm', names: ['victoria-metrics'] },
  kubectl: { suite: 'trixie', names: ['kubectl'] },
  nginx: { suite: 'bookworm', names: ['nginx'] },
  apache: { suite: 'bookworm', names: ['apache2-bin', 'libapr1', 'libaprutil1'] },
  h2load: {
    suite: 'bookworm',
    names: ['nghttp2-client', 'libev4', 'libjemalloc2', 'libnghttp2-14', 'libc-ares2'],
  },
  etcd: { suite: 'bookworm', names: ['etcd-server', 'etcd-client'] },
  faketime: { suite: 'bookworm', names: ['libfaketime'] },
  libbpf: { suite: 'bookworm', names: ['libbpf1', 'libelf1', 'zlib1g'] },
  chromium: {
    suite: 'bookworm',
    names: ['chromium-headless-shell', 'fonts-dejavu-core'],
    dependencies: true,
  },
} as const satisfies Record<string, Listed>

export type Unpacked = keyof typeof packages
/** What {@link prepare} makes ready. `bpf`: the compiled eBPF objects. */
export type Prepared = Unpacked | 'bpf'
export type Need = Prepared | 'root' | 'curl' | 'python3' | 'npm registry' | 'Kubernetes cluster'

/** Unpacks what is not there yet; gives, for each that cannot be had, why. */
export async function prepare(
  wanted: readonly Prepared[] = [...(Object.keys(packages) as Unpacked[]), 'bpf'],
): Promise<Partial<Record<Prepared, string>>> {
  const failures: Partial<Record<Prepared, string>> = {}
  const impossible = missingForDebian()
  for (const name of wanted) {
    if (name !== 'bpf' && missingFor(name) === undefined) continue
    try {
      if (name === 'bpf') {
        await buildBpf()
        continue
      }
      if (impossible !== undefined) throw new Error(impossible)
      await unpacked(name)
    } catch (error) {
      failures[name] = error instanceof Error ? error.message : String(error)
    }
  }
  return failures
}

function folderOf(name: Unpacked): string {
  const { suite, names, ...options }: Listed = packages[name]
  return unpackedFolder(suite, names, options)
}

/** Unpacks the packages of `name`, and gives their folder. */
export function unpacked(name: Unpacked): Promise<string> {
  const { suite, names, ...options }: Listed = packages[name]
  return unpackDebian(suite, names, options)
}

/** The file of libbpf, unpacked, for machines that lack it. */
export function libbpfFile(): string {
  return join(folderOf('libbpf'), 'usr/lib', multiarch(), 'libbpf.so.1')
}

/** Why `need` is not met on this machine, or undefined when it is. */
export function missingFor(need: Need): string | undefined {
  if (need === 'root') return process.getuid?.() === 0 ? undefined : 'needs root'
  if (need === 'bpf') return missingBpf() ?? missingFor('libbpf')
  if (need === 'Kubernetes cluster')
    return process.env['PODSONAR_TEST_KUBECONFIG']
      ? undefined
      : 'PODSONAR_TEST_KUBECONFIG does not name a cluster'
  if (need === 'curl' || need === 'python3')
    return spawnSync(need, ['--version']).status === 0 ? undefined : `${need} is not installed`
  if (need === 'npm registry')
    return spawnSync('npm', ['ping']).status === 0 ? undefined : 'the npm registry does not answer'
  const { suite, names } = packages[need]
  return existsSync(folderOf(need))
    ? undefined
    : `the Debian packages ${names.join(', ')} (${suite}) could not be unpacked`
}
