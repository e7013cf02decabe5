import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parse } from 'yaml'
import { TemporaryFolder } from '../../../lab/files.ts'
import { run } from '../../../lab/process.ts'
import { dockerfileStages, imageConfig } from '../../../lab/podsonar-image.ts'
import { buildRootfs } from '../../../lab/rootfs.ts'
import { Turn } from '../../../lab/turn.ts'
import { version } from '../../../src/common/version.ts'
import { describeWith } from '../../setup/needs.ts'

const project = fileURLToPath(new URL('../../../', import.meta.url))

interface Sbom {
  readonly bomFormat: string
  readonly metadata: { readonly component: { readonly purl: string } }
  readonly components: readonly { readonly name: string; readonly version: string; readonly purl: string }[]
}

describeWith(['bpf', 'root'], 'what is released', () => {
  let folder: TemporaryFolder
  let rootfs: string
  beforeAll(async () => {
    folder = await TemporaryFolder.create('release')
    await using _turn = await Turn.exclusive('dist')
    // Builds dist/ first: the package's own "prepack".
    await run('npm', ['pack', '--pack-destination', folder.path], { cwd: project })
    rootfs = join(folder.path, 'rootfs')
    await buildRootfs(rootfs)
  }, 300_000)
  afterAll(async () => {
    await folder[Symbol.asyncDispose]()
  })

  it('has a package whose podsonar command runs, with all that it reads and nothing of the workshop', async () => {
    await run('tar', ['-xf', join(folder.path, `podsonar-${version}.tgz`), '-C', folder.path])
    const unpacked = join(folder.path, 'package')
    const parts = [
      'LICENSE',
      'README.md',
      'README.zh-CN.md',
      'deploy',
      'dist',
      'docs',
      'package.json',
      'proto',
    ]
    expect((await readdir(unpacked)).sort()).toEqual(parts)
    await symlink(join(project, 'node_modules'), join(unpacked, 'node_modules'))
    expect(await run(join(unpacked, 'dist/main.js'), ['--version'])).toBe(`podsonar ${version}\n`)
    expect(existsSync(join(unpacked, 'dist/bpf'))).toBe(true)
  })

  it('has an image that is small, has no shell, and runs without root', async () => {
    const [kib] = (await run('du', ['-sk', '--apparent-size', rootfs])).split('\t')
    expect(Number(kib) / 1024).toBeLessThan(205)
    expect((await readdir(join(rootfs, 'usr/bin'))).sort()).toEqual([
      ...['env', 'node', 'nsenter', 'podsonar', 'setpriv', 'stat', 'stdbuf', 'tcpdump'],
    ])
    expect(await readdir(join(rootfs, 'app/node_modules'))).not.toContain('vitest')
    for (const name of ['usr/lib', 'app/dist/bpf', 'app/proto'])
      expect(existsSync(join(rootfs, name))).toBe(true)

    const { Entrypoint: entry, Env: variables = [], User: user = '' } = await imageConfig()
    expect(user).toBe('65532:65532')
    const inside = (args: readonly string[]) =>
      run('chroot', [`--userspec=${user}`, rootfs, '/usr/bin/env', '-i', ...variables, ...entry, ...args])
    await mkdir(join(rootfs, 'proc'), { recursive: true })
    expect(await inside(['--version'])).toBe(`podsonar ${version}\n`)
    for (const program of ['tcpdump', 'nsenter', 'setpriv', 'stat', 'stdbuf'])
      expect(await run('chroot', [rootfs, `/usr/bin/${program}`, '--version'])).not.toBe('')
    expect(JSON.parse(await inside(['config', 'proxy']))).toMatchObject({ MODE: 'proxy', PORT: 8080 })
  })

  it('is built in a container by the same script, and by nothing beside it', async () => {
    const [build = [], last = [], ...more] = await dockerfileStages()
    expect(more).toEqual([])
    // What compiles eBPF there is what the script looks for, and Debian is the one that the libraries are taken from.
    expect(build[0]).toMatch(/^FROM node:24-bookworm\S* AS build$/)
    const installed = /install -y --no-install-recommends ([^&]+) &&/.exec(build.join('\n'))?.[1]?.trim()
    expect(installed?.split(' ')).toEqual(['clang', 'libbpf-dev'])
    expect(build.filter((line) => line.startsWith('RUN ')).at(-1)).toMatch(
      /node scripts\/build\.ts && node scripts\/build-rootfs\.ts \/rootfs$/,
    )
    // The image is that folder as it is: no other file, and no command that could change one.
    expect(last[0]).toBe('FROM scratch')
    expect(last.filter((line) => /^(COPY|ADD|RUN) /.test(line))).toEqual(['COPY --from=build /rootfs /'])
  })

  it('is called by its version everywhere', async () => {
    const text = await readFile(join(project, 'docs/install.md'), 'utf8')
    const named = [...text.matchAll(/podsonar:(\d\S+)/g)].map(([, found]) => found)
    expect([...new Set(named)]).toEqual([version])
    for (const name of ['ci', 'release']) {
      const workflow = parse(await readFile(join(project, `.github/workflows/${name}.yml`), 'utf8')) as {
        jobs: { test: { steps: { run?: string }[] } }
      }
      expect(workflow.jobs.test.steps.at(-1)).toEqual({ run: '.ci/run' })
    }
  })

  it('has a list of what is in it: CycloneDX, with every package of production, Node.js and Debian', async () => {
    const text = await run(process.execPath, [join(project, 'scripts/sbom.ts'), rootfs])
    const sbom = JSON.parse(text) as Sbom
    expect(sbom.bomFormat).toBe('CycloneDX')
    expect(sbom.metadata.component.purl).toBe(`pkg:npm/podsonar@${version}`)
    const names = sbom.components.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['prom-client', '@kubernetes/client-node', 'koffi']))
    expect(names).not.toContain('vitest')

    // Every library of the image is in a package of the list, and each of these is one that Debian has.
    const debian = sbom.components.filter(({ purl }) => purl.startsWith('pkg:deb/debian/'))
    expect(debian.map(({ name }) => name).sort()).toEqual(
      (await readdir(join(rootfs, 'usr/share/doc'))).sort(),
    )
    for (const { purl } of debian) expect(purl).toMatch(/@\d\S*\?arch=(amd64|arm64)&distro=debian-12$/)
    const node = await run(join(rootfs, 'usr/bin/node'), ['--version'])
    expect(sbom.components.find(({ name }) => name === 'node')?.version).toBe(node.trim().slice(1))
  })
})
