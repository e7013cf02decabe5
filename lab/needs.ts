/** What tests, benchmarks and the demo need of a machine, and why it is not there. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
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
  pushgateway: { suite: 'bullseye', names: ['prometheus-pushgateway'] },
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
  go: {
    suite: 'bookworm',
    names: ['golang-1.19-go', 'golang-github-masterminds-sprig-dev', 'golang-k8s-sigs-yaml-dev'],
    dependencies: true,
  },
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
  tcpdump: {
    suite: 'bookworm',
    names: [
      ...['tcpdump', 'libpcap0.8', 'libssl3', 'libdbus-1-3', 'libsystemd0', 'libcap2', 'libgcrypt20'],
      ...['libgpg-error0', 'liblz4-1', 'liblzma5', 'libzstd1'],
    ],
  },
  tshark: {
    suite: 'bookworm',
    names: [
      ...[
        'tshark',
        'libwireshark16',
        'libwiretap13',
        'libwsutil14',
        'libpcap0.8',
        'libglib2.0-0',
        'libpcre2-8-0',
      ],
      ...[
        'libbcg729-0',
        'libbrotli1',
        'libc-ares2',
        'libgcrypt20',
        'libgpg-error0',
        'libgnutls30',
        'libhogweed6',
      ],
      ...['libnettle8', 'libgmp10', 'libidn2-0', 'libunistring2', 'libp11-kit0', 'libffi8', 'libtasn1-6'],
      ...['libgssapi-krb5-2', 'libkrb5-3', 'libk5crypto3', 'libkrb5support0', 'libkeyutils1', 'libcom-err2'],
      ...['liblua5.2-0', 'liblz4-1', 'libmaxminddb0', 'libnghttp2-14', 'libnl-3-200', 'libnl-genl-3-200'],
      ...[
        'libsbc1',
        'libsmi2ldbl',
        'libsnappy1v5',
        'libspandsp2',
        'libtiff6',
        'libwebp7',
        'liblerc4',
        'libjbig0',
      ],
      ...[
        'libjpeg62-turbo',
        'libdeflate0',
        'libspeexdsp1',
        'libssh-gcrypt-4',
        'libxml2',
        'libicu72',
        'libzstd1',
      ],
      ...['liblzma5', 'libdbus-1-3', 'libsystemd0', 'libcap2', 'libssl3', 'zlib1g'],
    ],
  },
  iperf3: { suite: 'bookworm', names: ['iperf3', 'libiperf0', 'libsctp1', 'libssl3'] },
} as const satisfies Record<string, Listed>

export type Unpacked = keyof typeof packages
/** What {@link prepare} makes ready. `bpf`: the compiled eBPF objects. */
export type Prepared = Unpacked | 'bpf'
export type Need = Prepared | 'root' | 'curl' | 'python3' | 'ip' | 'npm registry' | 'Kubernetes cluster'

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

/** What unpacked programs of `names` need in their environment: PATH, and where their libraries are. */
export function unpackedEnvironment(...wanted: readonly Unpacked[]): Record<string, string> {
  const roots = wanted.map(folderOf)
  const inRoots = (...folders: readonly string[]): string[] =>
    roots.flatMap((root) => folders.map((folder) => join(root, folder)))
  return {
    PATH: [...inRoots('usr/bin', 'usr/sbin'), process.env['PATH'] ?? '/usr/sbin:/usr/bin'].join(delimiter),
    LD_LIBRARY_PATH: inRoots(join('usr/lib', multiarch()), join('lib', multiarch())).join(delimiter),
  }
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
  if (need === 'curl' || need === 'python3' || need === 'ip')
    return spawnSync(need, [need === 'ip' ? '-V' : '--version']).status === 0
      ? undefined
      : `${need} is not installed`
  if (need === 'npm registry')
    return spawnSync('npm', ['ping']).status === 0 ? undefined : 'the npm registry does not answer'
  const { suite, names } = packages[need]
  return existsSync(folderOf(need))
    ? undefined
    : `the Debian packages ${names.join(', ')} (${suite}) could not be unpacked`
}
