import { Family } from '../../common/exposition.ts'
import { errorCode } from '../../common/errors.ts'
import type { Collector } from '../collector.ts'
import type { Container } from '../core/containers.ts'
import { parseCgroups, parseThreads } from '../core/parse-process.ts'
import { parseSingle } from '../core/parse-cgroup-files.ts'
import { eachInSlices } from '../slices.ts'
import type { ResourcesOptions } from './resources.ts'

interface Counts {
  processes: number
  threads: number
  descriptors: number
  sockets: number
}

/** cAdvisor's `container_{processes,threads,threads_max,file_descriptors,sockets}`. Looks at every process of the node. */
export function processesCollector({ procfs, cgroupfs, labels, onSkipped }: ResourcesOptions): Collector {
  return {
    name: 'processes',
    async collect({ containers }, signal) {
      const byPath = new Map<string, Container>()
      for (const container of containers) for (const path of pathsOf(container)) byPath.set(path, container)
      const counts = new Map<Container, Counts>()
      await eachInSlices(procfs.pids(), signal, (pid) => {
        try {
          const { unified, byController } = parseCgroups(procfs.text(pid, 'cgroup'))
          const container = ownerOf([unified ?? '/', ...byController.values()], byPath)
          if (container === undefined) return
          const sum = counts.get(container) ?? { processes: 0, threads: 0, descriptors: 0, sockets: 0 }
          const { descriptors, sockets } = procfs.descriptors(pid)
          sum.threads += parseThreads(procfs.text(pid, 'stat'))
          sum.processes += 1
          sum.descriptors += descriptors
          sum.sockets += sockets
          counts.set(container, sum)
        } catch (error) {
          // A process that ended while we looked is no failure.
          if (errorCode(error) !== 'process_gone') onSkipped(errorCode(error) ?? 'error')
        }
      })
      const gauge = (name: string, help: string): Family => new Family(`container_${name}`, 'gauge', help)
      const families = {
        processes: gauge('processes', 'Number of processes running inside the container.'),
        threads: gauge('threads', 'Number of threads running inside the container'),
        descriptors: gauge('file_descriptors', 'Number of open file descriptors for the container.'),
        sockets: gauge('sockets', 'Number of open sockets for the container.'),
      }
      const max = gauge(
        'threads_max',
        'Maximum number of threads allowed inside the container, infinity if value is zero',
      )
      for (const [container, sum] of counts) {
        const own = labels.container(container)
        for (const figure of ['processes', 'threads', 'descriptors', 'sockets'] as const)
          families[figure].add(own, sum[figure])
        const files = cgroupfs.files(container.cgroups)
        const limit = files.version1('pids', 'pids.max') ?? files.version2('pids.max')
        if (limit !== undefined) max.add(own, finiteOr0(parseSingle(limit)))
      }
      return [...Object.values(families), max]
    },
  }
}

/** Its cgroup paths, but not those that it shares with all. */
function pathsOf({ cgroups: { unified, byController } }: Container): string[] {
  return [unified ?? '/', ...byController.values()].filter((path) => path !== '/')
}

/** The container in whose cgroup, or a group below it, a process is. */
function ownerOf(paths: readonly string[], byPath: ReadonlyMap<string, Container>): Container | undefined {
  for (const path of new Set(paths))
    for (let at = path; at.length > 1; at = at.slice(0, at.lastIndexOf('/'))) {
      const container = byPath.get(at)
      if (container !== undefined) return container
    }
  return undefined
}

function finiteOr0(value: number): number {
  return Number.isFinite(value) ? value : 0
}
