/**
 * `node scripts/sbom.ts ROOTFS`: prints a list of all that is in the image, as CycloneDX JSON: the npm packages of production,
 * Node.js, and the Debian packages of a root file system that scripts/build-rootfs.ts wrote, of this machine's architecture.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { controlFolder } from '../lab/debian.ts'
import { run } from '../lab/process.ts'

interface Component {
  readonly type: 'library' | 'application'
  readonly name: string
  readonly version: string
  readonly purl: string
  readonly [field: string]: unknown
}

const cwd = fileURLToPath(new URL('../', import.meta.url))

/** A field of deb-control(5). */
function field(control: string, name: string): string {
  const value = new RegExp(`^${name}: (.+)$`, 'm').exec(control)?.[1]
  if (value === undefined) throw new Error(`Cannot read a package's control file: it has no ${name}`)
  return value
}

/** Source: the purl type "deb". */
function debian(control: string): Component {
  const [name, version] = [field(control, 'Package'), field(control, 'Version')]
  const place = `arch=${field(control, 'Architecture')}&distro=debian-12`
  const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?${place}`
  return { type: 'library', name, version, purl, 'bom-ref': purl }
}

const [rootfs] = process.argv.slice(2)
if (rootfs === undefined) {
  console.error('usage: node scripts/sbom.ts ROOTFS (written by scripts/build-rootfs.ts)')
  process.exitCode = 2
} else {
  const npm = await run('npm', ['sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev'], { cwd })
  const sbom = JSON.parse(npm) as { components: Component[] }
  const version = (await run(join(rootfs, 'usr/bin/node'), ['--version'])).trim().slice(1)
  const purl = `pkg:generic/node@${version}`
  sbom.components.push({ type: 'application', name: 'node', version, purl, 'bom-ref': purl })
  const folder = join(rootfs, controlFolder)
  for (const name of (await readdir(folder)).sort())
    sbom.components.push(debian(await readFile(join(folder, name), 'utf8')))
  console.log(JSON.stringify(sbom, undefined, 2))
}
