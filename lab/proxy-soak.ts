/**
 * Many scrapes of kubelets in every state by clients that go away at any moment, through podsonar as a process of its own,
 * while the API server is away: whether it keeps its memory and its sockets, and finds the API server again.
 */
import { writeFile } from 'node:fs/promises'
import { readdirSync, readlinkSync } from 'node:fs'
import { Agent, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { CertificateAuthority } from './certificates.ts'
import { TemporaryFolder } from './files.ts'
import { SimulatedKubelet, type KubeletBehaviour } from './kubelet.ts'
import { SimulatedKubernetes } from './kubernetes/simulated-kubernetes.ts'
import { processUsage } from './process-usage.ts'
import { Program } from './program.ts'
import { waitFor } from './wait.ts'

/** One kubelet each. */
const behaviours: readonly KubeletBehaviour[] = [
  ...(['answer', 'answer', 'answer', 'reset_reused'] as const),
  ...(['die', 'drip', 'hang', 'redirect'] as const),
]
const concurrency = 32
/** What its client gives a scrape: those that must come whole have the time that a busy machine takes. */
const timeoutSeconds: Readonly<Partial<Record<KubeletBehaviour, string>>> = {
  answer: '30',
  reset_reused: '30',
}

export interface SoakOptions {
  /** How many at least, a tenth of which their clients abandon. */
  readonly scrapes: number
  /** How long the API server is away at least, in milliseconds. @default 0, that is as long as the scrapes take */
  readonly awayMs?: number
}

export interface SoakResult {
  readonly scrapes: number
  /** That came whole. */
  readonly whole: number
  /** That did not, though their kubelets answer and their clients waited. */
  readonly missed: number
  /** After the first half, and at the end, in bytes. */
  readonly rssBytes: readonly [half: number, end: number]
  /** Idle connections to kubelets when the last scrape was over, as podsonar counts them. */
  readonly socketsKept: number
  /** Sockets beyond those before the first scrape, when clients are gone and kubelets have closed idle connections. */
  readonly socketsLeft: number
  /** How long there was no API server, in seconds. */
  readonly awaySeconds: number
  /** What it wrote that a healthy process does not. */
  readonly complaints: readonly string[]
}

/** @throws Error when podsonar ends, or does not find the API server again */
export async function soak({ scrapes, awayMs = 0 }: SoakOptions): Promise<SoakResult> {
  await using owned = new AsyncDisposableStack()
  const folder = owned.use(await TemporaryFolder.create('soak'))
  const ca = owned.use(await CertificateAuthority.create())
  const kubernetes = owned.use(await SimulatedKubernetes.start())
  const tokenFile = join(folder.path, 'token')
  await writeFile(tokenFile, 'token')
  const nodes: { readonly node: string; readonly seconds: string | undefined }[] = []
  const kubelets: SimulatedKubelet[] = []
  for (const [index, behaviour] of behaviours.entries()) {
    const name = `node-${index}`
    const certificate = await ca.issue({ commonName: name, dns: [name] })
    const address = `127.0.0.${index + 1}`
    const kubelet = owned.use(await SimulatedKubelet.start({ address, token: 'token', certificate }))
    kubelet.behaviour = behaviour
    kubelets.push(kubelet)
    kubernetes.addNode({ name, internalIps: [address], kubeletPort: kubelet.port })
    nodes.push({ node: `${address}:${kubelet.port}`, seconds: timeoutSeconds[behaviour] })
  }
  const program = owned.use(
    await Program.start(['proxy'], {
      KUBECONFIG: await kubernetes.kubeconfig(),
      KUBELET_CERTIFICATE_AUTHORITY: ca.certificateFile,
      KUBELET_TOKEN_FILE: tokenFile,
      LOOPBACK_NODES: 'true',
      MAX_IN_FLIGHT_PER_NODE: String(concurrency),
    }),
  )
  const ops = await program.url('OPS_PORT')
  await waitFor('podsonar to be ready', async () => (await ask(`${ops}/readyz`)).status === 200)
  const { port } = new URL(await program.url('PORT'))
  const { pid } = program.process
  let before = -1
  await waitFor(
    'the sockets of the start',
    () => {
      const last = before
      before = sockets(pid)
      return before === last
    },
    { everyMs: 1_000 },
  )

  const agent = new Agent({ keepAlive: true, maxSockets: concurrency })
  owned.defer(() => {
    agent.destroy()
  })
  await kubernetes.leave()
  const leftMs = performance.now()
  let started = 0
  let whole = 0
  let missed = 0
  let half = 0
  const worker = async (): Promise<void> => {
    while (started < scrapes || performance.now() - leftMs < awayMs) {
      started += 1
      if (started === Math.ceil(scrapes / 2)) half = processUsage(pid).rssBytes
      const { node = '', seconds } = nodes[Math.floor(Math.random() * nodes.length)] ?? {}
      const abandoned = Math.random() < 0.1
      if (await scrape(agent, { port: Number(port), node, seconds: seconds ?? '0.4', abandoned })) whole += 1
      else if (seconds !== undefined && !abandoned) missed += 1
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  const end = processUsage(pid).rssBytes
  agent.destroy()
  const { text: metrics } = await ask(`${ops}/metrics`)
  const socketsKept = Number(/_upstream_connections\{state="idle"\} (\d+)/.exec(metrics)?.[1])

  await kubernetes.arrive()
  const awaySeconds = (performance.now() - leftMs) / 1_000
  kubernetes.deleteNode('node-0')
  const forgotten = `http://127.0.0.1:${port}/api/v1/nodes/${nodes[0]?.node ?? ''}/metrics/cadvisor`
  await waitFor('the API server to be followed again', async () => (await ask(forgotten)).status === 403)
  for (const kubelet of kubelets) kubelet.closeIdle()
  await waitFor('idle connections to be closed', () => sockets(pid) <= before).catch(() => undefined)
  if (!program.process.running) throw new Error(`podsonar ended: ${program.process.stderr.slice(-2_000)}`)
  const complaints = program.process.stderr
    .split('\n')
    .filter((line) => /Unhandled|Warning|MaxListeners|"level":"error"/.test(line))
  return {
    ...{ scrapes: started, whole, missed, rssBytes: [half, end], socketsKept, awaySeconds, complaints },
    socketsLeft: Math.max(0, sockets(pid) - before),
  }
}

interface ScrapeOptions {
  readonly port: number
  /** `address:port` */
  readonly node: string
  /** Its timeout, as a client tells it. */
  readonly seconds: string
  /** Whether the client goes away meanwhile. */
  readonly abandoned: boolean
}

/** @returns whether the page came whole. Never rejects */
function scrape(agent: Agent, { port, node, seconds, abandoned }: ScrapeOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { 'accept-encoding': 'gzip', 'x-prometheus-scrape-timeout-seconds': seconds }
    const path = `/api/v1/nodes/${node}/metrics/cadvisor`
    const request = httpRequest({ host: '127.0.0.1', port, path, agent, headers }, (response) => {
      response.resume()
      response.on('close', () => {
        resolve(response.complete && response.statusCode === 200)
      })
      response.on('error', () => undefined)
    })
    request.on('error', () => {
      resolve(false)
    })
    request.end()
    if (!abandoned) return
    setTimeout(() => request.destroy(), Math.random() * 30)
  })
}

/** GET on a connection of its own, which is closed after it: kept ones would be counted with those of the proxy. */
function ask(url: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    httpRequest(url, { agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (text += part))
      response.on('error', reject)
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text })
      })
    })
      .on('error', reject)
      .end()
  })
}

/** How many sockets a process has open. */
function sockets(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:')
    } catch {
      return false
    }
  }).length
}
