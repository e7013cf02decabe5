import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { SimulatedKubelet } from '../../../lab/kubelet.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'

/** As many as this machine lets one process open, up to 10,000. */
const limit = Number(/Max open files +(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1_024)
const idle = Math.min(10_000, limit - 500)

it(`${idle} idle connections do not keep others from being served, and are closed`, async () => {
  await using kubernetes = await SimulatedKubernetes.start()
  await using ca = await CertificateAuthority.create()
  await using folder = await TemporaryFolder.create('proxy')
  const tokenFile = join(folder.path, 'token')
  await writeFile(tokenFile, 'token')
  const certificate = await ca.issue({ commonName: 'node-1', dns: ['node-1'] })
  await using kubelet = await SimulatedKubelet.start({ token: 'token', certificate })
  kubernetes.addNode({ name: 'node-1', internalIps: ['127.0.0.1'], kubeletPort: kubelet.port })
  await using program = await Program.start(['proxy'], {
    KUBECONFIG: await kubernetes.kubeconfig(),
    KUBELET_CERTIFICATE_AUTHORITY: ca.certificateFile,
    KUBELET_TOKEN_FILE: tokenFile,
    LOOPBACK_NODES: 'true',
  })
  const base = await program.url('PORT')
  const scrape = async (): Promise<number> => {
    const answer = await fetch(`${base}/api/v1/nodes/127.0.0.1:${kubelet.port}/metrics/cadvisor`)
    await answer.arrayBuffer()
    return answer.status
  }
  await waitFor('the first scrape', async () => (await scrape()) === 200)

  const sockets: Socket[] = []
  let connected = 0
  let closed = 0
  for (let index = 0; index < idle; index += 1) {
    const socket = connect(Number(new URL(base).port), '127.0.0.1')
    socket.on('connect', () => (connected += 1))
    socket.on('error', () => undefined)
    socket.on('close', () => (closed += 1))
    socket.resume()
    sockets.push(socket)
    if (index % 200 === 199) await waitFor('these to connect', () => connected + closed > index)
  }
  expect(connected).toBe(idle)
  expect(await scrape()).toBe(200)
  await waitFor('all to be closed', () => closed === idle, { timeoutMs: 40_000 })
  expect(await scrape()).toBe(200)
  for (const socket of sockets) socket.destroy()
})
