/** A Helm chart as `helm template` renders it: by helm where it is installed, and by what helm is made of everywhere. */
import { createHash } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import { parse, parseAllDocuments } from 'yaml'
import { TemporaryFolder } from './files.ts'
import type { KubernetesObject } from './kubectl.ts'
import { unpacked } from './needs.ts'
import { run } from './process.ts'

/** A chart's values, as values.yaml has them. */
export type ChartValues = Readonly<Record<string, unknown>>

/**
 * Renders a chart.
 *
 * @param values what is given with `-f`
 * @param namespace the release's
 * @returns the objects, and the text of NOTES.txt where the renderer gives it
 * @throws Error where the values are not what values.schema.json asks for, or a template fails
 */
export type RenderChart = (
  chart: string,
  values: ChartValues,
  namespace: string,
) => Promise<{ readonly objects: readonly KubernetesObject[]; readonly notes?: string }>

/** Whether `helm` is on the path. */
export function isHelmInstalled(): boolean {
  return spawnSync('helm', ['version']).status === 0
}

export const renderWithHelm: RenderChart = async (chart, values, namespace) => {
  await using folder = await TemporaryFolder.create('helm')
  const file = join(folder.path, 'values.json')
  await writeFile(file, JSON.stringify(values))
  const text = await run('helm', ['template', 'podsonar', chart, '-n', namespace, '-f', file])
  return { objects: objectsOf(text) }
}

export const renderWithGo: RenderChart = async (chart, given, namespace) => {
  const read = (name: string): Promise<string> => readFile(join(chart, name), 'utf8')
  const values = coalesced(parse(await read('values.yaml')) as ChartValues, given)
  const ajv = new Ajv({ allErrors: true, allowUnionTypes: true, strict: true })
  if (!ajv.validate(JSON.parse(await read('values.schema.json')) as object, values)) {
    const problems = ajv.errors?.map(
      ({ instancePath, message = '', params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
    )
    throw new Error(`Cannot render ${chart}: ${problems?.join('; ')}`)
  }
  await using folder = await TemporaryFolder.create('helm-template')
  const file = join(folder.path, 'request.json')
  await writeFile(file, JSON.stringify({ release: { name: 'podsonar', namespace }, values }))
  const rendered = JSON.parse(await run(await helmTemplate(), [chart, file])) as Record<string, string>
  const { 'templates/NOTES.txt': notes = '', ...templates } = rendered
  return { objects: Object.values(templates).flatMap(objectsOf), notes }
}

function objectsOf(text: string): KubernetesObject[] {
  return parseAllDocuments(text)
    .map((document) => {
      if (document.errors[0])
        throw new Error(`Cannot read a rendered template: ${text}`, { cause: document.errors[0] })
      return document.toJS() as KubernetesObject | null
    })
    .filter((object) => object !== null)
}

/** The chart's own values with those that are given above them, as helm does it: null removes, lists are replaced. */
function coalesced(own: ChartValues, given: ChartValues): ChartValues {
  const merged = Object.entries(given).map(([key, value]) => {
    const below = own[key]
    return [key, isObject(value) && isObject(below) ? coalesced(below, value) : value] as const
  })
  return Object.fromEntries([...Object.entries(own), ...merged].filter(([key]) => given[key] !== null))
}

function isObject(value: unknown): value is ChartValues {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const source = fileURLToPath(new URL('helm-template/main.go', import.meta.url))
const program = fileURLToPath(new URL('../build/helm-template', import.meta.url))

/** Where the program of `helm-template/` is; compiles it, with Debian's Go, unless that was done. */
async function helmTemplate(): Promise<string> {
  const digest = createHash('sha256')
    .update(await readFile(source))
    .digest('hex')
    .slice(0, 12)
  const built = `${program}-${digest}`
  if (existsSync(built)) return built
  const root = await unpacked('go')
  const goRoot = join(root, 'usr/lib/go-1.19')
  await using folder = await TemporaryFolder.create('go')
  const env = {
    ...{ PATH: process.env['PATH'], HOME: folder.path, GOROOT: goRoot, GOCACHE: join(folder.path, 'cache') },
    // Packages of Debian are folders below a GOPATH, not modules; nothing is fetched.
    ...{ GOPATH: join(root, 'usr/share/gocode'), GO111MODULE: 'off', GOPROXY: 'off', CGO_ENABLED: '0' },
  }
  const output = join(folder.path, 'helm-template')
  await run(join(goRoot, 'bin/go'), ['build', '-trimpath', '-o', output, source], { env })
  await mkdir(join(program, '..'), { recursive: true })
  const work = `${built}.${process.pid}`
  await writeFile(work, await readFile(output), { mode: 0o755 })
  await rename(work, built)
  return built
}
