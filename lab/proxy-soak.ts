/**
 * Many scrapes of kubelets in every state by clients that go away at any moment, through podsonar as a process of its own:
 * whether it keeps its memory and its sockets.
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

export interface SoakResult {
  readonly scrapes: number
  /** That came whole. */
  readonly whole: number
  /** After the first half, and at the end, in bytes. */
  readonly rssBytes: readonly [half: number, end: number]
  /** Sockets of the process at the end beyond those that it had after its first scrapes; idle kept ones included. */
  readonly socketsLeft: number
  /** What it wrote that a healthy process does not. */
  readonly complaints: readonly string[]
}

/** @param scrapes how many, a tenth of which their clients abandon */
export async function soak(scrapes: number): Promise<SoakResult> {
  await using owned = new AsyncDisposableStack()
  const folder = owned.use(await TemporaryFolder.create('soak'))
  const ca = owned.use(await CertificateAuthority.create())
  const kubernetes = owned.use(await SimulatedKubernetes.start())
  const tokenFile = join(folder.path, 'token')
  await writeFile(tokenFile, 'token')
  const nodes: string[] = []
  for (const [index, behaviour] of behaviours.entries()) {
    const name = `node-${index}`
    const certificate = await ca.issue({ commonName: name, dns: [name] })
    const address = `127.0.0.${index + 1}`
    const kubelet = owned.use(await SimulatedKubelet.start({ address, token: 'token', certificate }))
    kubelet.behaviour = behaviour
    kubernetes.addNode({ name, internalIps: [address], kubeletPort: kubelet.port })
    nodes.push(`${address}:${kubelet.port}`)
  }
  const program = owned.use(
    await Program.start(['proxy'], {
      KUBECONFIG: await kubernetes.kubeconfig(),
      KUBELET_CERTIFICATE_AUTHORITY: ca.certificateFile,
      KUBELET_TOKEN_FILE: tokenFile,
      LOOPBACK_NODES: 'true',
    }),
  )
  const ops = await program.url('OPS_PORT')
  await waitFor('podsonar to be ready', async () => (await fetch(`${ops}/readyz`)).ok)
  const { port } = new URL(await program.url('PORT'))
  const { pid } = program.process
  const before = sockets(pid)

  const agent = new Agent({ keepAlive: true, maxSockets: concurrency })
  owned.defer(() => {
    agent.destroy()
  })
  let started = 0
  let whole = 0
  let half = 0
  const worker = async (): Promise<void> => {
    while (started < scrapes) {
      started += 1
      if (started === Math.ceil(scrapes / 2)) half = processUsage(pid).rssBytes
      const node = nodes[Math.floor(Math.random() * nodes.length)] ?? ''
      if (await scrape(agent, Number(port), node, Math.random() < 0.1)) whole += 1
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  const end = processUsage(pid).rssBytes
  agent.destroy()
  const idle = behaviours.length * 8
  await waitFor('the clients to be gone', () => sockets(pid) <= before + idle)
  if (!program.process.running) throw new Error(`podsonar ended: ${program.process.stderr.slice(-2_000)}`)
  const complaints = program.process.stderr
    .split('\n')
    .filter((line) => /Unhandled|Warning|MaxListeners|"level":"error"/.test(line))
  return {
    scrapes,
    whole,
    rssBytes: [half, end],
    socketsLeft: Math.max(0, sockets(pid) - before),
    complaints,
  }
}

/** @returns whether the page came whole. Never rejects */
function scrape(agent: Agent, port: number, node: string, abandoned: boolean): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { 'accept-encoding': 'gzip', 'x-prometheus-scrape-timeout-seconds': '0.4' }
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
