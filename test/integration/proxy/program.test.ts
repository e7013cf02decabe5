import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { SimulatedKubelet } from '../../../lab/kubelet.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'

const token = 'a-service-account-token'

async function status(url: string): Promise<number> {
  const response = await fetch(url)
  await response.arrayBuffer()
  return response.status
}

it('the program scrapes the kubelets of the nodes that the API server has, whatever becomes of that server', async () => {
  await using kubernetes = await SimulatedKubernetes.start()
  await using ca = await CertificateAuthority.create()
  await using folder = await TemporaryFolder.create('proxy')
  const tokenFile = join(folder.path, 'token')
  await writeFile(tokenFile, token)
  const certificate = await ca.issue({ commonName: 'node-1', dns: ['node-1'] })
  await using kubelet = await SimulatedKubelet.start({ token, certificate })
  kubernetes.addNode({ name: 'node-1', internalIps: ['127.0.0.1'], kubeletPort: kubelet.port })

  await using program = await Program.start(['proxy'], {
    KUBECONFIG: await kubernetes.kubeconfig(),
    KUBELET_CERTIFICATE_AUTHORITY: ca.certificateFile,
    KUBELET_TOKEN_FILE: tokenFile,
    LOOPBACK_NODES: 'true',
  })
  const ops = await program.url('OPS_PORT')
  const scrape = `${await program.url('PORT')}/api/v1/nodes/127.0.0.1:${kubelet.port}/metrics/cadvisor`
  await waitFor('readiness', async () => (await status(`${ops}/readyz`)) === 200)
  expect(await status(scrape)).toBe(200)

  await kubernetes.leave()
  await rm(tokenFile)
  await waitFor('the API server to be missed', async () =>
    (await (await fetch(`${ops}/readyz`)).text()).includes('"notes":{"nodes"'),
  )
  expect(await status(scrape)).toBe(200)

  await kubernetes.arrive()
  kubernetes.deleteNode('node-1')
  await waitFor('the node to be forgotten', async () => (await status(scrape)) === 403)
  const metrics = await (await fetch(`${ops}/metrics`)).text()
  expect(metrics).not.toContain('node="node-1"')

  program.process.kill('SIGTERM')
  expect(await program.process.exited).toEqual({ code: 0, signal: null })
  expect(program.process.stderr).not.toContain(token)
})

it('the program is not ready, and says why, while it has no token', async () => {
  await using kubernetes = await SimulatedKubernetes.start()
  await using ca = await CertificateAuthority.create()
  await using program = await Program.start(['proxy'], {
    KUBECONFIG: await kubernetes.kubeconfig(),
    KUBELET_CERTIFICATE_AUTHORITY: ca.certificateFile,
    LOOPBACK_NODES: 'true',
  })
  kubernetes.addNode({ name: 'node-1', internalIps: ['127.0.0.1'], kubeletPort: 10_250 })
  const ops = await program.url('OPS_PORT')
  const scrape = `${await program.url('PORT')}/api/v1/nodes/127.0.0.1:10250/metrics/cadvisor`
  await waitFor('the nodes', async () => !(await (await fetch(`${ops}/readyz`)).text()).includes('"nodes"'))
  const ready = await fetch(`${ops}/readyz`)
  expect(ready.status).toBe(503)
  expect(await ready.json()).toHaveProperty('reasons.token', expect.stringContaining('serviceaccount/token'))
  const refused = await fetch(scrape)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
  expect(await refused.json()).toMatchObject({ error: 'not_ready' })
})
