/** Names are never resolved: what is dialled are addresses of the nodes, so nobody's DNS can say where the token goes. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { SimulatedKubelet } from '../../../lab/kubelet.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { freePorts } from '../../../lab/ports.ts'
import { Process } from '../../../lab/process.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { Raw } from '../../support/raw-connection.ts'

const spy = new URL('../../support/dns-spy.mjs', import.meta.url)
const naive = fileURLToPath(new URL('../../../lab/naive-proxy.ts', import.meta.url))

const resolved = ({ stderr }: Process): string[] =>
  [...stderr.matchAll(/^resolved (.*)$/gm)].map(([, name = '']) => name)

/** The status of the answer to a GET of `target`, with a Host that is a name. */
async function status(port: number, target: string): Promise<number> {
  using raw = new Raw(port).send(
    `GET ${target} HTTP/1.1\r\nHost: rebind.example:10250\r\nX-Forwarded-Host: rebind.example\r\nForwarded: host=rebind.example\r\nConnection: close\r\n\r\n`,
  )
  await waitFor('an answer', () => raw.status !== 0, { timeoutMs: 20_000 })
  return raw.status
}

it('whatever name a client, a node or a kubelet brings in', async () => {
  await using kubernetes = await SimulatedKubernetes.start()
  await using ca = await CertificateAuthority.create()
  await using folder = await TemporaryFolder.create('no-names')
  const tokenFile = join(folder.path, 'token')
  await writeFile(tokenFile, 'token')
  const certificate = await ca.issue({ commonName: 'localhost', dns: ['localhost'] })
  await using kubelet = await SimulatedKubelet.start({ token: 'token', certificate })
  // A node whose name resolves, and one that has a name in place of an address.
  kubernetes.addNode({ name: 'localhost', internalIps: ['127.0.0.1'], kubeletPort: kubelet.port })
  kubernetes.addNode({ name: 'named', internalIps: ['localhost'], kubeletPort: kubelet.port })
  await using program = await Program.start(['proxy'], {
    KUBECONFIG: await kubernetes.kubeconfig(),
    KUBELET_CERTIFICATE_AUTHORITY: ca.certificateFile,
    KUBELET_TOKEN_FILE: tokenFile,
    LOOPBACK_NODES: 'true',
    NODE_OPTIONS: `--import=${spy.href}`,
  })
  const ops = await program.url('OPS_PORT')
  await waitFor('readiness', async () => (await fetch(`${ops}/readyz`)).ok)
  const port = Number(new URL(await program.url('PORT')).port)
  const scrape = (host: string): Promise<number> =>
    status(port, `/api/v1/nodes/${host}:${kubelet.port}/metrics/cadvisor`)

  expect(await scrape('127.0.0.1')).toBe(200)
  for (const name of [
    'localhost',
    'LOCALHOST',
    'named',
    'rebind.example',
    '127.0.0.1.nip.io',
    '127.1',
    '0177.1',
  ])
    expect(await scrape(name)).toBe(400)
  expect(await status(port, `http://localhost:${kubelet.port}/metrics/cadvisor`)).toBe(400)
  kubelet.behaviour = 'redirect'
  expect(await scrape('127.0.0.1')).toBe(502)
  kubelet.behaviour = 'unauthorized'
  expect(await scrape('127.0.0.1')).toBe(502)
  expect(program.process.stderr).toContain('watching names')
  expect(resolved(program.process)).toEqual([])
})

it('which the spy would have seen: naive http-proxy resolves what the client says', async () => {
  await using ca = await CertificateAuthority.create()
  const certificate = await ca.issue({ commonName: 'localhost', dns: ['localhost'] })
  await using kubelet = await SimulatedKubelet.start({ token: 'token', certificate })
  const [port = 0] = await freePorts(1)
  const args = ['--import', spy.href, naive, String(port), ca.certificateFile, 'token']
  await using started = await Process.start('naive proxy', process.execPath, args)
  await waitFor('the naive proxy', () => started.stdout.includes('ready'))
  expect(await status(port, `/api/v1/nodes/localhost:${kubelet.port}/metrics/cadvisor`)).toBe(200)
  expect(resolved(started)).toContain('localhost')
})
