/** The labels that name a container, a pod or the node on the exporter's series. */
import { joinLabels, labelName, renderLabels } from '../../common/exposition.ts'
import type { Container, NetworkNamespace, Pod } from './containers.ts'
import { cgroupName } from './parse-process.ts'

/** Makes labels; pods' own labels come with them where they were chosen. */
export class LabelMaker {
  readonly #podLabels: readonly string[]
  /** They are the same at every scrape, as long as a container or a namespace is the same object. */
  readonly #known = new WeakMap<Container | NetworkNamespace, string>()

  /** @param podLabels names of pod labels to add as `label_<name>`; `*` stands for all */
  constructor(podLabels: readonly string[] = []) {
    this.#podLabels = podLabels
  }

  /**
   * cAdvisor's labels, as the kubelet serves them, for a whole network namespace: the pod's cgroup in `id`, no
   * container. The node itself is `/`.
   */
  namespace(namespace: NetworkNamespace): string {
    return this.#once(namespace, () => {
      const { pod, containers, host, cgroup } = namespace
      const [first] = containers
      if (host) return this.#cadvisor({ id: '/' })
      if (pod === undefined && containers.length === 1 && first !== undefined) return this.container(first)
      return joinLabels(this.#cadvisor({ id: cgroup, pod }), this.#ofPod(pod))
    })
  }

  /** cAdvisor's labels for one container. */
  container(container: Container): string {
    return this.#once(container, () => {
      const { pod, name, id: runtimeId, image, cgroups } = container
      const labels = {
        id: cgroupName(cgroups),
        image,
        pod,
        container: pod === undefined ? '' : name,
        name: pod === undefined ? name : runtimeId,
      }
      return joinLabels(this.#cadvisor(labels), this.#ofPod(pod))
    })
  }

  /** `pod_name`, `pod_namespace` and `container`, as pod_connect_info has them. */
  connection(pod: Pod | undefined, container: string): string {
    return joinLabels(
      renderLabels({ pod_name: pod?.name ?? '', pod_namespace: pod?.namespace ?? '', container }),
      this.#ofPod(pod),
    )
  }

  /** `container`, `namespace` and `pod`, which stay the same over restarts of the container: for counters. */
  owner(pod: Pod | undefined, container: string): string {
    return joinLabels(
      renderLabels({ container, namespace: pod?.namespace ?? '', pod: pod?.name ?? '' }),
      this.#ofPod(pod),
    )
  }

  #once(whose: Container | NetworkNamespace, make: () => string): string {
    const known = this.#known.get(whose)
    if (known !== undefined) return known
    const made = make()
    this.#known.set(whose, made)
    return made
  }

  #cadvisor({ id, image = '', name = '', container = '', pod }: CadvisorLabels): string {
    const [namespace, podName] = [pod?.namespace ?? '', pod?.name ?? '']
    return renderLabels({ container, id, image, name, namespace, pod: podName })
  }

  #ofPod(pod: Pod | undefined): string {
    if (this.#podLabels.length === 0 || pod === undefined) return ''
    const chosen = this.#podLabels.includes('*') ? Object.keys(pod.labels).sort() : this.#podLabels
    const labels: Record<string, string> = {}
    for (const name of chosen) {
      const value = pod.labels[name]
      if (value !== undefined) labels[`label_${labelName(name)}`] = value
    }
    return renderLabels(labels)
  }
}

interface CadvisorLabels {
  readonly id: string
  readonly image?: string
  readonly name?: string
  readonly container?: string
  readonly pod?: Pod | undefined
}
