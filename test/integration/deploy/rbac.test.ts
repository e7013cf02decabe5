import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
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

  it('are what the proxy uses of the API server, and what kubelets ask for', async () => {
    const rules = allowed(await renderKustomization(overlay), 'podsonar-proxy')
    expect(rules).toContain('get nodes/metrics')
    const ofServer = rules.filter((rule) => rule !== 'get nodes/metrics')
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    await using _proxy = await Program.start(['proxy'], {
      KUBECONFIG: await kubernetes.kubeconfig(),
      KUBELET_INSECURE_TLS: 'true',
    })
    expect(await asked(kubernetes, ofServer)).toEqual(ofServer)
  })
})
