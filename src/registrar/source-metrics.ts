import { Counter, Gauge, type Registry } from 'prom-client'
import type { Source, SourceCounts } from '../kubernetes/source.ts'

type Followed = Pick<Source<unknown>, 'resource' | 'counts' | 'objects'>

const counters: Readonly<Record<keyof SourceCounts, readonly [name: string, help: string]>> = {
  lists: ['lists', 'Whole lists that were read from the Kubernetes API.'],
  listFailures: ['list_failures', 'Lists that failed or broke off.'],
  watches: ['watches', 'Watches that the API server opened; each but the first is a restart.'],
  watchFailures: ['watch_failures', 'Watches that could not be opened or that broke.'],
  events: ['watch_events', 'Events of watches, bookmarks included.'],
}

/** How following the Kubernetes API goes, a series per resource; read off the sources when they are scraped. */
export function sourceMetrics(registry: Registry, sources: () => readonly Followed[]): void {
  for (const key of Object.keys(counters) as (keyof SourceCounts)[]) {
    const [name, help] = counters[key]
    new Counter({
      name: `podsonar_kubernetes_${name}_total`,
      help,
      labelNames: ['resource'],
      registers: [registry],
      collect() {
        this.reset()
        for (const { resource, counts } of sources()) this.inc({ resource }, counts[key])
      },
    })
  }
  new Gauge({
    name: 'podsonar_kubernetes_objects',
    help: 'Objects of the Kubernetes API that are known.',
    labelNames: ['resource'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { resource, objects } of sources()) this.set({ resource }, objects.size)
    },
  })
}
