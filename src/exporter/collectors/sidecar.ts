import { Family, renderLabels } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import { connectedPod, type ConnectedPodParts } from '../connected-pod.ts'
import type { Pod } from '../core/containers.ts'
import type { LabelMaker } from '../core/labels.ts'
import { isChosen, type Choice } from '../core/requests/choose.ts'
import { sidecarBounds, sidecarMetrics } from '../core/sidecar/counts.ts'
import type { ConnectedPod } from '../core/sidecar/pod.ts'
import type { SidecarReading } from '../ebpf/sidecar-reader.ts'
import type { SidecarSource } from '../ebpf/sidecar-source.ts'
import { eachNamespace } from '../slices.ts'

export interface SidecarCollectorOptions extends ConnectedPodParts {
  readonly source: SidecarSource
  /** The pods whose sidecars are looked at. */
  readonly choice: Choice
  readonly labels: LabelMaker
  /** Told why a pod could not be looked at. */
  readonly onSkipped: (reason: string) => void
  /** Told of events that were not counted since the start. */
  readonly onReading: (lost: number) => void
}

/**
 * How long requests are in the sidecars of chosen pods, and how long these take to connect to their services. A pod is
 * watched from the first collection on that sees it. What each metric answers: docs/sidecar.md.
 */
export function sidecarCollector(options: SidecarCollectorOptions): Collector {
  const { source, choice, labels, onSkipped, onReading } = options
  return {
    name: 'sidecar',
    async collect({ namespaces }, signal) {
      const pods: ConnectedPod[] = []
      const owners = new Map<number, Pod>()
      const seen = new Set<string>()
      const chosen = namespaces.filter(({ pod }) => pod !== undefined && isChosen(choice, pod))
      await eachNamespace(chosen, signal, onSkipped, (namespace, pid) => {
        const { inode, pod } = namespace
        if (pod === undefined) return
        const connected = connectedPod(namespace, pid, options)
        const name = `${pod.namespace}/${pod.name}`
        // One that was just replaced has two for a moment: the first stays.
        if (!connected.containers.some(({ isSidecar }) => isSidecar) || seen.has(name)) return
        seen.add(name)
        pods.push(connected)
        owners.set(inode, pod)
      })
      const reading = await source.read(pods, signal)
      onReading(reading.lost)
      return sidecarFamilies(reading, (inode, container) => labels.owner(owners.get(inode), container))
    },
  }
}

function sidecarFamilies(
  { sidecars }: SidecarReading,
  ownerOf: (namespace: number, container: string) => string,
): Family[] {
  const { inside, connect, reused } = sidecarMetrics
  const families = {
    inside: new Family(inside.name, inside.type, inside.help),
    connect: new Family(connect.name, connect.type, connect.help),
    reused: new Family(reused.name, reused.type, reused.help),
  }
  for (const { namespace, container, counts } of sidecars) {
    const owner = ownerOf(namespace, container)
    for (const what of ['inside', 'connect'] as const) {
      const { buckets, sumSeconds } = counts[what]
      families[what].addHistogram(owner, sidecarBounds, buckets, sumSeconds)
    }
    for (const [side, connections] of Object.entries(counts.reused))
      families.reused.add(owner, connections, renderLabels({ side }))
  }
  return Object.values(families)
}
