/**
 * `npm run docs -- --screenshots`: takes the pictures of docs/images, of the real programs' pages, with Debian's Chromium. As root,
 * since the exporter's page shows real pods.
 */
import { fileURLToPath } from 'node:url'
import { Chromium } from '../lab/chromium.ts'
import { prepare } from '../lab/needs.ts'
import { ControlPlane } from './screenshots/control-plane.ts'
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
await using control = await ControlPlane.start()
await using node = await Node.start()
for (const picture of [
  { name: 'registrar', url: control.registrar, height: 760 },
  { name: 'proxy', url: control.proxy, height: 560 },
  { name: 'exporter', url: node.exporter, height: 820 },
  { name: 'exporter-dark', url: node.exporter, height: 820, colorScheme: 'dark' },
] as const)
  await take(chromium, picture)
