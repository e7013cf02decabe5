/**
 * `npm run docs -- --screenshots [NAME …]`: takes the pictures of docs/images, of the real programs' pages, with Debian's Chromium. As
 * root, since the exporter's page shows real pods.
 */
import { fileURLToPath } from 'node:url'
import { Chromium } from '../lab/chromium.ts'
import { prepare } from '../lab/needs.ts'
import { ControlPlane } from './screenshots/control-plane.ts'
import { CrowdedNode } from './screenshots/crowded-node.ts'
import { Node } from './screenshots/node.ts'

const folder = fileURLToPath(new URL('../docs/images/', import.meta.url))

interface Picture {
  readonly name: string
  readonly url: string
  readonly colorScheme?: 'light' | 'dark'
  /** Pixels from the top; all of the page where it is shorter. */
  readonly height: number
}

async function take(
  chromium: Chromium,
  { name, url, colorScheme = 'light', height }: Picture,
): Promise<void> {
  const { page } = await chromium.visit(url, { colorScheme, viewport: { width: 1280, height } })
  const path = `${folder}${name}.png`
  await page.screenshot({ path })
  console.log(`wrote docs/images/${name}.png`)
}

const failures = Object.entries(await prepare(['chromium', 'containerd', 'bpf', 'libbpf']))
if (failures.length > 0) throw new Error(`Cannot take pictures: ${failures.join('; ')}`)
await using chromium = await Chromium.start()
const behindFlag = process.argv.slice(process.argv.indexOf('--screenshots') + 1)

/** Starts a scene and takes its pictures; only those that are named behind `--screenshots`, where some are. */
async function takeAll<S extends AsyncDisposable>(
  start: () => Promise<S>,
  pictures: Readonly<Record<string, (scene: S) => Omit<Picture, 'name'>>>,
): Promise<void> {
  const wanted = Object.entries(pictures).filter(
    ([name]) => behindFlag.length === 0 || behindFlag.includes(name),
  )
  if (wanted.length === 0) return
  await using scene = await start()
  for (const [name, picture] of wanted) await take(chromium, { name, ...picture(scene) })
}

await takeAll(() => ControlPlane.start(), {
  registrar: ({ registrar }) => ({ url: registrar, height: 760 }),
  proxy: ({ proxy }) => ({ url: proxy, height: 560 }),
})
await takeAll(() => Node.start(), {
  exporter: ({ exporter }) => ({ url: exporter, height: 820 }),
  'exporter-dark': ({ exporter }) => ({ url: exporter, height: 820, colorScheme: 'dark' }),
})
await takeAll(() => CrowdedNode.start(), {
  'exporter-300-pods': ({ exporter }) => ({ url: exporter, height: 1_000 }),
})
