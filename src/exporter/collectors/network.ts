import { Family, joinLabels, renderLabels } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import type { LabelMaker } from '../core/labels.ts'
import { parseNetDev, type Traffic } from '../core/parse-net-dev.ts'
import { eachNamespace } from '../slices.ts'
import type { Procfs } from '../procfs.ts'

/** cAdvisor's names and help, by direction and figure. */
const families = (['received', 'transmitted'] as const).flatMap((direction) => {
  const prefix = `container_network_${direction === 'received' ? 'receive' : 'transmit'}`
  const doing = direction === 'received' ? 'receiving' : 'transmitting'
  const of = (figure: keyof Traffic, name: string, help: string) => ({
    ...{ direction, figure, name: `${prefix}_${name}_total`, help: `Cumulative count of ${help}` },
  })
  return [
    of('bytes', 'bytes', `bytes ${direction}`),
    of('packets', 'packets', `packets ${direction}`),
    of('dropped', 'packets_dropped', `packets dropped while ${doing}`),
    of('errors', 'errors', `errors encountered while ${doing}`),
  ]
})

/** Interfaces that cAdvisor leaves out: loopback, and the node's ends of pods' cables. */
const left = /^(lo$|veth|docker|nerdctl)/

export interface NetworkOptions {
  readonly procfs: Procfs
  readonly labels: LabelMaker
  /** Told the error code of each namespace that could not be read. */
  readonly onSkipped: (reason: string) => void
}

/** `container_network_{receive,transmit}_*`: traffic of each pod by interface. */
export function networkCollector({ procfs, labels, onSkipped }: NetworkOptions): Collector {
  return {
    name: 'network',
    async collect(snapshot, signal) {
      const made = families.map(({ name, help, direction, figure }) => ({
        ...{ direction, figure, family: new Family(name, 'counter', help) },
      }))
      await eachNamespace(snapshot.namespaces, signal, onSkipped, (namespace, pid) => {
        const own = labels.namespace(namespace)
        for (const traffic of parseNetDev(procfs.text(pid, 'net/dev'))) {
          if (left.test(traffic.name)) continue
          const all = joinLabels(own, renderLabels({ interface: traffic.name }))
          for (const { family, direction, figure } of made) family.add(all, traffic[direction][figure])
        }
      })
      return made.map(({ family }) => family)
    },
  }
}
