import { SimulatedKubernetes } from '../../lab/kubernetes/simulated-kubernetes.ts'

/** A simulated cluster with annotated pods, each of a Deployment, spread over nodes. */
export async function bigCluster(pods: number, nodes: number): Promise<SimulatedKubernetes> {
  const kubernetes = await SimulatedKubernetes.start({ prepared: true })
  for (let index = 0; index < nodes; index += 1)
    kubernetes.addNode({ name: `node-${index}`, internalIps: [`172.16.${index >> 8}.${index & 255}`] })
  for (let index = 0; index < pods; index += 1) {
    const workload = `workload-${index % 500}`
    kubernetes.addPod({
      namespace: `team-${index % 50}`,
      name: `${workload}-6d94676768-${index}`,
      nodeName: `node-${index % nodes}`,
      labels: { app: workload, 'pod-template-hash': '6d94676768' },
      owner: { kind: 'ReplicaSet', name: `${workload}-6d94676768` },
      annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '9090' },
    })
  }
  return kubernetes
}

/** Settings of a registrar of that cluster. */
export async function settingsFor(
  kubernetes: SimulatedKubernetes,
  consulUrl: string,
): Promise<Record<string, string>> {
  return {
    KUBECONFIG: await kubernetes.kubeconfig(),
    CONSUL_ADDRESS: consulUrl,
    CONSUL_BACKEND: 'catalog',
    LEADER_ELECTION: 'false',
    CLUSTER_NAME: 'bench',
    LOG_LEVEL: 'info',
  }
}
