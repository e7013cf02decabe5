/**
 * What a scrape through the proxy costs: processor time of podsonar, nginx, haproxy and naive http-proxy in turn, on
 * the same TLS kubelet with the page of a full node; memory with 200 scrapes in flight; and the share of a core that
 * 1,000 nodes take, scraped by two Prometheus every 30 s. Processor time is the figure to trust on a shared machine.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { CertificateAuthority } from '../lab/certificates.ts'
import { TemporaryFolder } from '../lab/files.ts'
import { Process } from '../lab/process.ts'
import { processUsage } from '../lab/process-usage.ts'
import { waitFor } from '../lab/wait.ts'
import {
  startHaproxy,
  startNaive,
  startNginx,
  startPodsonar,
  type Scene,
  type Subject,
} from './proxy-subjects.ts'
import { median, type BenchResult, type BenchRow } from './result.ts'
import { Scraper } from './scrapes.ts'

const rounds = 5
/** By what the scraper accepts. */
const scrapesPerRound = { gzip: 200, identity: 40 } as const
const concurrency = 4
/** The cluster of the last part, and how often its nodes are scraped in all. */
const cluster = { nodes: 1_000, scrapesPerSecond: (1_000 * 2) / 30, seconds: 30 }

export async function proxy(): Promise<BenchResult> {
  await using owned = new AsyncDisposableStack()
  const { scene, page } = await setTheScene(owned)
  const subjects: Readonly<Record<string, Subject>> = {
    podsonar: owned.use(await startPodsonar(scene)),
    nginx: owned.use(await startNginx(scene)),
    haproxy: owned.use(await startHaproxy(scene)),
    'naive http-proxy': owned.use(await startNaive(scene)),
  }
  const rows: BenchRow[] = [
    { what: 'page', subject: 'kubelet', value: page.bytes, unit: 'bytes' },
    { what: 'page, gzip', subject: 'kubelet', value: page.gzipBytes, unit: 'bytes' },
  ]
  const costs = new Map<string, number>()
  for (const encoding of ['gzip', 'identity'] as const) {
    for (const [subject, value] of await costPerScrape(subjects, scene, encoding)) {
      costs.set(`${subject} ${encoding}`, value)
      rows.push({ what: `CPU per scrape, ${encoding}, median`, subject, value, unit: 'ms' })
    }
  }
  await using loaded = await startPodsonar(scene)
  const share = await shareOfACore(loaded, scene)
  rows.push({
    what: '1,000 nodes, 2 Prometheus, 30 s',
    subject: 'podsonar',
    value: share * 100,
    unit: 'percent',
  })
  await using crowded = await startPodsonar(scene)
  const rssMiB = await memoryInFlight(crowded, scene, 200)
  rows.push({
    what: 'largest resident memory, 200 in flight',
    subject: 'podsonar',
    value: rssMiB,
    unit: 'MiB',
  })
  const ratio = (other: string): number =>
    (costs.get('podsonar gzip') ?? 0) / (costs.get(`${other} gzip`) ?? 0)
  return {
    rows,
    ratios: {
      cpuVsNginx: ratio('nginx'),
      cpuVsHaproxy: ratio('haproxy'),
      cpuVsNaive: ratio('naive http-proxy'),
      rssMiB200InFlight: rssMiB,
      core1000NodesHa: share,
    },
  }
}

async function setTheScene(
  owned: AsyncDisposableStack,
): Promise<{ scene: Scene; page: { bytes: number; gzipBytes: number } }> {
  const folder = owned.use(await TemporaryFolder.create('bench-proxy'))
  const ca = owned.use(await CertificateAuthority.create())
  const name = 'nodes.example'
  const { certificateFile, keyFile } = await ca.issue({
    commonName: name,
    dns: [name, `*.${name}`],
    ips: ['127.1.0.0'],
  })
  const token = 'bench-token'
  const tokenFile = join(folder.path, 'token')
  await writeFile(tokenFile, token)
  const program = fileURLToPath(new URL('kubelets.ts', import.meta.url))
  const kubelets = owned.use(
    await Process.start('kubelets', process.execPath, [program, certificateFile, keyFile, token]),
  )
  await waitFor('the kubelets', () => kubelets.stdout.includes('}'))
  const { port, ...page } = JSON.parse(kubelets.stdout) as { port: number; bytes: number; gzipBytes: number }
  const addresses = Array.from({ length: cluster.nodes }, (_, index) => `127.1.${index >> 8}.${index & 255}`)
  return { scene: { ca, token, tokenFile, kubeletPort: port, addresses, name }, page }
}

/** Processor time of one scrape by subject, in milliseconds; the subjects take turns. */
async function costPerScrape(
  subjects: Readonly<Record<string, Subject>>,
  scene: Scene,
  encoding: 'gzip' | 'identity',
): Promise<Map<string, number>> {
  using scraper = new Scraper(encoding)
  const count = scrapesPerRound[encoding]
  const node = [`${scene.addresses[0] ?? ''}:${scene.kubeletPort}`]
  const costs = new Map<string, number[]>(Object.keys(subjects).map((subject) => [subject, []]))
  for (let round = -1; round < rounds; round += 1) {
    for (const [subject, { pid, port }] of Object.entries(subjects)) {
      const before = processUsage(pid).cpuMs
      await scraper.many(port, node, count, concurrency).catch((cause: unknown) => {
        throw new Error(`Cannot measure ${subject}`, { cause })
      })
      // The first round warms up.
      if (round >= 0) costs.get(subject)?.push((processUsage(pid).cpuMs - before) / count)
    }
  }
  return new Map([...costs].map(([subject, values]) => [subject, median(values)]))
}

/** The share of one core that all nodes take, each scraped at its own moments, after each was scraped twice. */
async function shareOfACore({ pid, port }: Subject, scene: Scene): Promise<number> {
  using scraper = new Scraper('gzip')
  const nodes = scene.addresses.map((address) => `${address}:${scene.kubeletPort}`)
  await scraper.many(port, nodes, nodes.length * 2, 8)
  const before = processUsage(pid).cpuMs
  const started = performance.now()
  const running: Promise<number>[] = []
  for (let count = 0; count < cluster.scrapesPerSecond * cluster.seconds; count += 1) {
    await delay(Math.max(0, started + (count * 1_000) / cluster.scrapesPerSecond - performance.now()))
    running.push(scraper.scrape(port, nodes[(count * 7) % nodes.length] ?? ''))
  }
  await Promise.all(running)
  return (processUsage(pid).cpuMs - before) / (performance.now() - started)
}

/** The most memory that it ever had, in MiB, after many scrapes of `count` nodes, of which `count` run at any time. */
async function memoryInFlight({ pid, port }: Subject, scene: Scene, count: number): Promise<number> {
  using scraper = new Scraper('gzip')
  const nodes = scene.addresses.slice(0, count).map((address) => `${address}:${scene.kubeletPort}`)
  await scraper.many(port, nodes, count * 5, count)
  return processUsage(pid).peakRssBytes / 2 ** 20
}
