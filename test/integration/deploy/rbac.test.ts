import { realpathSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { renderKustomization } from '../../../lab/kubectl.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { allowed } from '../../support/manifests.ts'

const overlay = fileURLToPath(new URL('../../../deploy/kubernetes/overlays/catalog', import.meta.url))

describeWith(['kubectl', 'consul'], 'the roles of the manifests', () => {
  /** What was asked of the API server until all of `wanted` was, as `list pods`. */
  const asked = async (kubernetes: SimulatedKubernetes, wanted: readonly string[]): Promise<string[]> => {
    const seen = (): string[] =>
      [...new Set(kubernetes.api.requests.map(({ verb, resource }) => `${verb} ${resource}`))].sort()
    await waitFor('every rule to be used', () => wanted.every((rule) => seen().includes(rule)))
    return seen()
  }

  it('are what the registrar uses, no more and no less', async () => {
    const rules = allowed(await renderKustomization(overlay), 'podsonar-registrar')
    await using kubernetes = await SimulatedKubernetes.start()
    await using consul = await Consul.start()
    kubernetes.addNode({ name: 'node-1' })
    await using _registrar = await Program.start(['registrar'], {
      KUBECONFIG: await kubernetes.kubeconfig(),
      CONSUL_ADDRESS: consul.url,
      CONSUL_BACKEND: 'catalog',
      CLUSTER_NAME: 'c1',
    })
    expect(await asked(kubernetes, rules)).toEqual(rules)
  })

  /** Compares what a proxy with `settings` asks for with what a kustomization allows it. */
  const checkProxy = async (
    folder: string,
    settings: Readonly<Record<string, string>>,
  ): Promise<string[]> => {
    const rules = allowed(await renderKustomization(folder), 'podsonar-proxy')
    expect(rules).toContain('get nodes/metrics')
    const ofServer = rules.filter((rule) => rule !== 'get nodes/metrics')
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    await using _proxy = await Program.start(['proxy'], {
      KUBECONFIG: await kubernetes.kubeconfig(),
      KUBELET_INSECURE_TLS: 'true',
      ...settings,
    })
    expect(await asked(kubernetes, ofServer)).toEqual(ofServer)
    return ofServer
  }

  it('are what the proxy uses of the API server, and what kubelets ask for', async () => {
    expect(await checkProxy(overlay, {})).toEqual(['list nodes', 'watch nodes'])
  })

  it('are what the proxy uses with POD_PROXY, where the component for it is used', async () => {
    await using folder = await TemporaryFolder.create('pod-proxy')
    const path = (one: string): string => relative(realpathSync(folder.path), one)
    const components = [path(join(overlay, '../../components/pod-proxy'))]
    const kustomization = { resources: [path(overlay)], components }
    await writeFile(join(folder.path, 'kustomization.yaml'), JSON.stringify(kustomization))
    const used = await checkProxy(folder.path, { POD_PROXY: 'true' })
    expect(used).toEqual(['list nodes', 'list pods', 'watch nodes', 'watch pods'])
  })
})
